import base64
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import jsonschema
import pytest

from cxr_lightning.evaluation.results import Evaluation
from cxr_lightning.explain.results import Explanation, Overlay
from cxr_lightning.report.html_page import render_html
from cxr_lightning.report.metrics_json import metrics_json, metrics_schema
from cxr_lightning.report.report_folder import FIGURES, write_report

EMPTY_FIGURES = {name: "<svg></svg>" for name in FIGURES}


class Page(HTMLParser):
    """Elements with their attributes, and all text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.data = ""
        self.feed(html)
        self.text = " ".join(self.data.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.data += data

    @property
    def images(self) -> list[dict[str, str | None]]:
        return [given for tag, given in self.elements if tag == "img"]


def render(evaluation: Evaluation, explanation: Explanation) -> str:
    pictures = [str(number).encode() for number, _ in enumerate(explanation.gallery)]
    html = render_html(evaluation, EMPTY_FIGURES, explanation, pictures)
    return html[html.index('<section id="heatmaps">') : html.index('<section id="protocol">')]


def test_without_explanation_the_page_has_no_such_section(plain_evaluation: Evaluation) -> None:
    page = Page(render_html(plain_evaluation, EMPTY_FIGURES))
    assert "Heat maps" not in page.text
    assert not page.images
    assert metrics_json(plain_evaluation)["explanation"] is None


def test_the_section_is_in_the_navigation(plain_evaluation: Evaluation, explanation: Explanation) -> None:
    html = render_html(plain_evaluation, EMPTY_FIGURES, explanation, [b"", b"", b""])
    assert '<a href="#heatmaps">Heat maps</a>' in html
    assert html.index('id="controls"') < html.index('id="heatmaps"') < html.index('id="protocol"')


def test_pictures_of_a_finding_stand_together_with_captions(
    plain_evaluation: Evaluation, explanation: Explanation
) -> None:
    page = Page(render(plain_evaluation, explanation))
    shown = [base64.b64decode((image["src"] or "").removeprefix("data:image/png;base64,")) for image in page.images]
    assert shown == [b"0", b"2", b"1"]
    assert all(image["alt"] for image in page.images)
    assert "Mass, true positive: probability 0.750, target present, image 00000001_000.png" in page.text
    assert "Hernia, false negative: probability 0.750, target present" in page.text
    assert page.text.count("; no positive evidence") == 1
    assert "Grad-CAM by captum, target layer pre_relu of densenet121" in page.text
    assert "those with the highest AUROC on the test images (2)" in page.text


def test_every_number_of_localization_and_sanity_is_shown(
    plain_evaluation: Evaluation, explanation: Explanation
) -> None:
    text = Page(render(plain_evaluation, explanation)).text
    row = "83 0.412 [0.311, 0.513]0.9000.0810.122+0.331 [+0.221 to +0.441]-0.015 [-0.115 to +0.085]"
    row += "0.213 [0.183, 0.243]0.6147"
    assert re.sub(r"\s", "", f"Mass{row}") in re.sub(r"\s", "", text)
    assert re.sub(r"\s", "", f"All together{row}") in re.sub(r"\s", "", text)
    for number in (
        "0.715",
        "0.105",
        "0.635",
        "0.316",
        "-0.024",
        "0.217",
        "0.358",
        "0.529",
        "0.401",
        "-0.141",
        "+0.128",
    ):
        assert number in text
    assert "no proof" in text


def test_nothing_undefined_is_shown_as_a_number(
    undefined_evaluation: Evaluation, undefined_explanation: Explanation
) -> None:
    text = Page(render(undefined_evaluation, undefined_explanation)).text
    assert not re.search(r"\bnan\b|\b0\.0", text, re.IGNORECASE)
    assert "probability n/a, target unknown" in text
    assert "All together" not in text


def test_parts_that_were_not_asked_for_are_left_out(plain_evaluation: Evaluation, explanation: Explanation) -> None:
    text = Page(render(plain_evaluation, replace(explanation, localization=(), sanity=None))).text
    assert "Gallery" in text
    assert not re.search("locali[sz]ation", text, re.IGNORECASE)
    assert "Sanity" not in text
    assert "No images" in Page(render(plain_evaluation, replace(explanation, gallery=()))).text


def test_text_from_files_is_text(hostile_evaluation: Evaluation, hostile_explanation: Explanation) -> None:
    page = Page(render(hostile_evaluation, hostile_explanation))
    assert "script" not in [tag for tag, _ in page.elements]
    assert len(page.images) == len(hostile_explanation.gallery)
    assert {name for image in page.images for name in image} == {"src", "alt"}
    assert all((image["src"] or "").startswith("data:image/png;base64,") for image in page.images)
    assert not [name for _, given in page.elements for name in given if name.startswith("on")]


@pytest.mark.parametrize("name", ["explanation", "undefined_explanation", "hostile_explanation"])
def test_every_explanation_fulfils_the_schema(
    plain_evaluation: Evaluation, name: str, request: pytest.FixtureRequest
) -> None:
    content = json.loads(json.dumps(metrics_json(plain_evaluation, request.getfixturevalue(name)), allow_nan=False))
    jsonschema.Draft202012Validator(metrics_schema()).validate(content)


@pytest.mark.parametrize("part", ["", "localisation", "sanity", "gallery"])
@pytest.mark.parametrize("change", ["add", "drop"])
def test_the_schema_refuses_unknown_and_missing_keys(
    plain_evaluation: Evaluation, explanation: Explanation, part: str, change: str
) -> None:
    content = metrics_json(plain_evaluation, explanation)
    inner = content["explanation"][part] if part else content["explanation"]
    inner = inner[0] if isinstance(inner, list) else inner
    if change == "add":
        inner["unknown"] = 1
    else:
        inner.pop(next(iter(inner)))
    assert not jsonschema.Draft202012Validator(metrics_schema()).is_valid(content)


def test_numbers_are_those_of_the_explanation(plain_evaluation: Evaluation, explanation: Explanation) -> None:
    found = metrics_json(plain_evaluation, explanation)["explanation"]
    mass, hernia, total = found["localisation"]
    assert (mass["label"], total["label"]) == ("Mass", "all")
    assert mass["over_centre"] == {"value": -0.015, "low": -0.115, "high": 0.085}
    assert mass["iou_accuracy"] == {"0.1": 0.715, "0.5": 0.105}
    assert hernia["best_iou"] is None
    assert hernia["iou_accuracy"] == {"0.1": None}
    assert found["sanity"]["similarity"] == {"classifier": 0.316, "denseblock4": -0.024}
    assert found["gallery"][1] == {
        "image_id": "00000001_000.png",
        "label": "Hernia",
        "kind": "false negative",
        "probability": 0.75,
        "target": 1.0,
        "file": "gradcam/Hernia_false-negative_1.png",
        "empty": True,
    }


def test_the_pictures_are_files_too_and_the_same_as_on_the_page(
    plain_evaluation: Evaluation, explanation: Explanation, tmp_path: Path
) -> None:
    page = Page(write_report(plain_evaluation, tmp_path, explanation).read_text(encoding="utf-8"))
    listed = json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"))["explanation"]["gallery"]
    pictures = {(tmp_path / entry["file"]).read_bytes() for entry in listed}
    shown = {base64.b64decode((image["src"] or "").partition(",")[2]) for image in page.images}
    assert pictures == shown
    assert len(pictures) == 3


def test_files_of_others_stay(
    plain_evaluation: Evaluation, make_overlay: Callable[..., Overlay], explanation: Explanation, tmp_path: Path
) -> None:
    write_report(plain_evaluation, tmp_path, explanation)
    (tmp_path / "gradcam" / "mine.png").touch()
    write_report(plain_evaluation, tmp_path, replace(explanation, gallery=(make_overlay("Nodule", "asked for"),)))
    assert {"mine.png", "Nodule_asked-for_1.png"} <= {path.name for path in (tmp_path / "gradcam").iterdir()}
