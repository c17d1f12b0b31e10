"""The set's text files, in the form of NIH's release."""

import csv
import io
from collections.abc import Mapping, Sequence

from cxr_lightning.labels import BOX_LIST_SPELLING, encode_findings
from cxr_lightning.phantom.boxes import Box
from cxr_lightning.phantom.patients import Row
from cxr_lightning.phantom.spec import PhantomSpec

LABEL_TABLE = "Data_Entry_2017_v2020.csv"
BOX_TABLE = "BBox_List_2017.csv"
TRAIN_VAL_LIST = "train_val_list.txt"
TEST_LIST = "test_list.txt"

LABEL_HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
)
BOX_HEADER = "Image Index,Finding Label,Bbox [x,y,w,h],,,"
FRAME_MILLIMETRES = 400.0
"""Height and width of the detector that a picture stands for."""

_OFFICIAL_SPELLING = {label: spelling for spelling, label in BOX_LIST_SPELLING.items()}


def table_texts(spec: PhantomSpec, train_val: Sequence[Row], test: Sequence[Row]) -> dict[str, str]:
    """Contents by file name of all tables but the box list.

    Args:
        spec: The set.
        train_val: Rows of the official training-and-validation list.
        test: Rows of the official test list.
    """
    return {
        LABEL_TABLE: _label_table(spec, [*train_val, *test]),
        TRAIN_VAL_LIST: _name_list(train_val),
        TEST_LIST: _name_list(test),
    }


def box_table_text(rows: Sequence[Row], boxes: Mapping[str, Sequence[Box]]) -> str:
    """The box list: places of those planted findings that the label table also lists.

    Args:
        rows: All images.
        boxes: Boxes of the planted findings by image name.
    """
    lines = [
        [row.name, _OFFICIAL_SPELLING.get(box.label, box.label), box.x, box.y, box.width, box.height, "", "", ""]
        for row in rows
        for box in boxes[row.name]
        if box.label in row.listed
    ]
    return _csv(BOX_HEADER, lines)


def _label_table(spec: PhantomSpec, rows: Sequence[Row]) -> str:
    spacing = round(FRAME_MILLIMETRES / spec.image_size, 4)
    lines = []
    for row in rows:
        image = row.image
        labels = encode_findings(row.listed)
        person = [image.follow_up, image.patient_id, image.age, image.sex, image.view]
        lines.append([row.name, labels, *person, spec.image_size, spec.image_size, spacing, spacing])
    return _csv(LABEL_HEADER, lines)


def _name_list(rows: Sequence[Row]) -> str:
    return "".join(f"{row.name}\n" for row in rows)


def _csv(header: str, lines: Sequence[Sequence[object]]) -> str:
    text = io.StringIO()
    text.write(header + "\n")
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()
