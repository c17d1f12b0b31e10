"""The text files of the set, in the format of NIH's release."""

import csv
import io
from collections.abc import Mapping, Sequence

from cxr_lightning.labels import BOX_LIST_SPELLING, encode_findings
from cxr_lightning.phantom.boxes import PhantomBox
from cxr_lightning.phantom.patients import PhantomRow
from cxr_lightning.phantom.spec import PhantomSpec

_LABEL_TABLE_FILE = "Data_Entry_2017_v2020.csv"
BOX_TABLE_FILE = "BBox_List_2017.csv"
_TRAIN_VAL_LIST_FILE = "train_val_list.txt"
_TEST_LIST_FILE = "test_list.txt"
TABLE_FILES = (_LABEL_TABLE_FILE, _TRAIN_VAL_LIST_FILE, _TEST_LIST_FILE, BOX_TABLE_FILE)
"""All tables of a set."""

_LABEL_TABLE_HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
)
_BOX_TABLE_HEADER = "Image Index,Finding Label,Bbox [x,y,w,h],,,"
_DETECTOR_MILLIMETERS = 400.0
"""Height and width of the simulated detector."""

_OFFICIAL_SPELLING = {label: spelling for spelling, label in BOX_LIST_SPELLING.items()}


def table_texts(spec: PhantomSpec, train_val: Sequence[PhantomRow], test: Sequence[PhantomRow]) -> dict[str, str]:
    """Contents of all tables except the box list, by file name.

    Args:
        spec: Choices that determine the set.
        train_val: Rows of the official training-and-validation list.
        test: Rows of the official test list.
    """
    return {
        _LABEL_TABLE_FILE: _label_table(spec, [*train_val, *test]),
        _TRAIN_VAL_LIST_FILE: _name_list(train_val),
        _TEST_LIST_FILE: _name_list(test),
    }


def box_table_text(rows: Sequence[PhantomRow], boxes: Mapping[str, Sequence[PhantomBox]]) -> str:
    """Content of the box list: boxes of those planted findings that the label table lists too.

    Args:
        rows: Rows of all images.
        boxes: Boxes of the planted findings by image name.
    """
    lines = [
        [row.name, _OFFICIAL_SPELLING.get(box.label, box.label), box.x, box.y, box.width, box.height, "", "", ""]
        for row in rows
        for box in boxes[row.name]
        if box.label in row.listed
    ]
    return _csv(_BOX_TABLE_HEADER, lines)


def _label_table(spec: PhantomSpec, rows: Sequence[PhantomRow]) -> str:
    spacing = round(_DETECTOR_MILLIMETERS / spec.image_size, 4)
    lines = []
    for row in rows:
        image = row.image
        labels = encode_findings(row.listed)
        person = [image.follow_up, image.patient_id, image.age, image.sex, image.view]
        lines.append([row.name, labels, *person, spec.image_size, spec.image_size, spacing, spacing])
    return _csv(_LABEL_TABLE_HEADER, lines)


def _name_list(rows: Sequence[PhantomRow]) -> str:
    return "".join(f"{row.name}\n" for row in rows)


def _csv(header: str, lines: Sequence[Sequence[object]]) -> str:
    text = io.StringIO()
    text.write(header + "\n")
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()
