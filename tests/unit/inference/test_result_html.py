"""Results in notebooks: a table beside the image that loads nothing and runs nothing, whatever the names are."""

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
from PIL import Image

from cxr_lightning.explain.results import REQUESTED, Overlay
from cxr_lightning.imaging.decoded_image import QualityFlag
from cxr_lightning.inference.result_html import overlays_html
from cxr_lightning.inference.results import Finding, Result, Results
from cxr_lightning.utils.notices import NOT_FOR_CLINICAL_USE, model_title
from tests.films import film

HOSTILE = "<script>alert(1)</script>\"'&\x1b[31m\u202e"
FINDINGS = (
    Finding("Mass", 0.25, 0.125, 0.5, 0.1),
    Finding("Edema", 0.75, 0.0001, 0.5),
    Finding("Hernia", float("nan")),
)
RESULT = Result(None, (), FINDINGS, False, "image 1", "youden", False, film(1))


class Page(HTMLParser):
    """Elements, attributes and text of a page; that every element is closed is checked."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.rows: list[list[str]] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag != "img":
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


def test_the_table_has_the_findings_and_the_image_is_the_networks_input() -> None:
    html = RESULT._repr_html_()
    assert Page(html).rows == [
        ["finding", "probability", "calibrated", "operating point", ""],
        ["Mass", "0.250", "0.125", "0.500", "below"],
        ["Edema", "0.750", "below 0.001", "0.500", "above"],
        ["Hernia", "n/a", "n/a", "n/a", ""],
    ]
    (png,) = re.findall(r'src="data:image/png;base64,([^"]+)"', html)
    with Image.open(io.BytesIO(base64.b64decode(png))) as image:
        np.testing.assert_array_equal(np.asarray(image), film(1))
    assert "operating point youden" in Page(html).text
    assert NOT_FOR_CLINICAL_USE in Page(html).text


def test_synthetic_training_is_told() -> None:
    synthetic = Result(None, (), FINDINGS, False, "x", "", True)
    assert model_title(True) in Page(synthetic._repr_html_()).text
    assert model_title(True) not in Page(RESULT._repr_html_()).text
    overlay = Overlay("x", "Mass", REQUESTED, film(1), np.zeros((64, 64), np.float32), 0.5, float("nan"))
    for is_synthetic in (True, False):
        text = Page(overlays_html([replace(overlay, synthetic=is_synthetic)])).text
        assert (model_title(True) in text) is is_synthetic
        assert "no positive evidence" in text
        assert NOT_FOR_CLINICAL_USE in text


def test_names_and_texts_are_no_markup() -> None:
    flags = (QualityFlag(HOSTILE, HOSTILE),)
    findings = (Finding(HOSTILE, 0.5),)
    hostile = Result(Path(HOSTILE), flags, findings, False, "", HOSTILE, True, film(1))
    rejected = Result(None, flags, (), True, HOSTILE)
    overlay = Overlay(HOSTILE, HOSTILE, REQUESTED, film(1), np.ones((64, 64), np.float32), 0.5, float("nan"))
    for html in (Results([hostile, rejected])._repr_html_(), overlays_html([replace(overlay, synthetic=True)])):
        page = Page(html)
        assert {*page.tags} <= {"div", "strong", "ul", "li", "img", "table", "thead", "tbody", "tr", "th", "td", "p"}
        assert {name for name, _ in page.attributes} <= {"style", "alt", "src"}
        assert all(
            (value or "").startswith("data:image/png;base64,") for name, value in page.attributes if name == "src"
        )
        assert "<script>alert(1)" in page.text  # shown as it is
        assert "\\x1b[31m\\u202e" in page.text
        assert "\x1b" not in html
        assert "\u202e" not in html


def test_a_rejected_image_has_its_reason_alone() -> None:
    page = Page(Result(None, (QualityFlag("empty", "the file is empty"),), (), True, "image 1")._repr_html_())
    assert page.text == "image 1: rejectedthe file is empty [empty]"
    assert "img" not in page.tags


def test_of_many_results_ten_are_shown() -> None:
    page = Page(Results([RESULT] * 1234)._repr_html_())
    assert page.tags.count("table") == 10
    assert "and 1,224 more: the first 10 of 1,234 images are shown" in page.text
    assert "more" not in Page(Results([RESULT] * 10)._repr_html_()).text
    assert "no images" in Page(Results()._repr_html_()).text


def test_large_images_are_shown_small() -> None:
    large = Result(None, (), FINDINGS, False, "x", image=film(1, 1024))
    (png,) = re.findall(r"base64,([^\"]+)", large._repr_html_())
    with Image.open(io.BytesIO(base64.b64decode(png))) as image:
        assert image.size == (320, 320)
