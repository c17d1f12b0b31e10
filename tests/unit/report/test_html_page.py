import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import cxr_lightning.report
from cxr_lightning.evaluation.comparability import Comparability, Criterion
from cxr_lightning.evaluation.label_result import Curve
from cxr_lightning.evaluation.results import Evaluation
from cxr_lightning.evaluation.statements import statement
from cxr_lightning.report.figure_export import to_svg
from cxr_lightning.report.html_page import render_html
from cxr_lightning.report.report_folder import FIGURES

EMPTY_FIGURES = {name: f"<svg><title>{name}</title></svg>" for name in FIGURES}


class Page(HTMLParser):
    """Elements with their attributes, and text by the element that it is in."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self.open = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.open = tag

    def handle_endtag(self, tag: str) -> None:
        self.open = ""

    def handle_data(self, data: str) -> None:
        if self.open == "script":
            self.scripts.append(data)
        elif self.open != "style":
            self.text += data

    def attributes(self, *names: str) -> list[str]:
        return [value or "" for _, given in self.elements for name, value in given.items() if name in names]


def render(evaluation: Evaluation) -> str:
    return render_html(evaluation, EMPTY_FIGURES)


@pytest.fixture(scope="module")
def hostile_html(hostile_evaluation: Evaluation) -> str:
    return render_html(hostile_evaluation, {name: to_svg(draw(hostile_evaluation)) for name, draw in FIGURES.items()})


def test_text_from_files_is_text(hostile_html: str) -> None:
    found = Page(hostile_html)
    tags = [tag for tag, _ in found.elements]
    assert tags.count("script") == 1
    assert "img" not in tags
    assert not [name for _, given in found.elements for name in given if name.startswith("on")]
    assert "<script>alert(1)</script>" in found.text
    assert "$\\frac{" in found.text


def test_the_page_needs_nothing_from_elsewhere(hostile_html: str) -> None:
    found = Page(hostile_html)
    assert all(link.startswith("#") for link in found.attributes("src", "href", "srcset", "action", "xlink:href"))
    assert not {"link", "iframe", "object", "embed", "base", "form"} & {tag for tag, _ in found.elements}
    assert not re.search(r"url\((?!#)|@import|https?:", hostile_html)


def test_links_inside_the_page_lead_somewhere(hostile_html: str) -> None:
    found = Page(hostile_html)
    ids = found.attributes("id")
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in found.attributes("href")} <= set(ids)


def test_only_the_pages_own_script_may_run(hostile_html: str) -> None:
    found = Page(hostile_html)
    policy = next(given["content"] for _, given in found.elements if given.get("http-equiv"))
    script = hostile_html[hostile_html.rindex("<script>") + len("<script>") : hostile_html.rindex("</script>")]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in (policy or "")
    assert (policy or "").startswith("default-src 'none';")
    assert "aria-sort" in script


def test_the_table_of_findings_can_be_sorted_by_exact_numbers(plain_evaluation: Evaluation) -> None:
    html = render(plain_evaluation)
    assert '<table class="sortable">' in html
    assert f'data-key="{plain_evaluation.labels[0].auroc.value!r}"' in html
    assert 'data-key="">n/a' in html


def test_nothing_undefined_is_shown_as_a_number(undefined_evaluation: Evaluation) -> None:
    text = Page(render(undefined_evaluation)).text
    assert not re.search(r"\bnan\b", text, re.IGNORECASE)
    assert not re.search(r"\b0\.0", text)
    assert "Mean AUROC n/a" in " ".join(text.split())
    assert "no predictions of validation images were given" in text


def test_synthetic_data_is_announced_first_and_never_beside_published_figures(
    make_plain: Callable[..., Evaluation],
) -> None:
    text = Page(render(make_plain(synthetic=True))).text
    assert text.index("SYNTHETIC DATA") < text.index("Summary")
    assert "Wang et al. 2017" not in text
    assert "SYNTHETIC" not in Page(render(make_plain())).text


def test_published_figures_stand_beside_comparable_ones_with_their_source(plain_evaluation: Evaluation) -> None:
    text = Page(render(plain_evaluation)).text
    assert "Wang et al. 2017: CVPR 2017, table 3." in text
    assert "0.835" in text


@pytest.mark.parametrize(
    ("met", "verdict", "word"),
    [(True, "Comparable", "met"), (False, "Not comparable", "not met"), (None, "Unknown whether", "unknown")],
)
def test_the_verdict_and_its_reasons_are_said(
    make_plain: Callable[..., Evaluation], met: bool | None, verdict: str, word: str
) -> None:
    evaluation = make_plain(
        comparability=Comparability((Criterion("all_views", met, statement("views", views=["PA"])),))
    )
    text = Page(render(evaluation)).text
    assert f"{verdict}" in text
    assert word in text
    assert ("all views: views: PA" in text) == (met is not True)
    assert ("Published AUROC" in text) == (met is True)


def test_the_page_says_what_it_is_not_for(plain_evaluation: Evaluation) -> None:
    assert "Not for clinical use." in Page(render(plain_evaluation)).text


def test_warnings_are_in_the_summary(make_plain: Callable[..., Evaluation]) -> None:
    text = Page(render(make_plain(warnings=(statement("missing_predictions", missing=3),)))).text
    assert text.index("Summary") < text.index("3 images of the split have no prediction") < text.rindex("Findings")


def test_every_number_of_an_operating_point_is_shown(plain_evaluation: Evaluation) -> None:
    text = " ".join(Page(render(plain_evaluation)).text.split())
    youden = (plain_evaluation.labels[0].operating_points or ())[0]
    assert f"{youden.counts.true_positives:,}" in text
    for number in (youden.at[0].ppv, youden.at[0].npv, youden.at[1].ppv, youden.sensitivity.low):
        assert f"{number:.3f}" in text
    assert "where 10 % have it" in text


def test_best_and_worst_findings_are_named(plain_evaluation: Evaluation) -> None:
    text = " ".join(Page(render(plain_evaluation)).text.split())
    best, worst = sorted(plain_evaluation.labels[:2], key=lambda result: -result.auroc.value)
    assert re.search(rf"Best finding ?{best.label}", text)
    assert re.search(rf"Worst finding ?{worst.label}", text)


def test_long_parts_of_a_record_are_folded_and_all_of_it_is_named(make_plain: Callable[..., Evaluation]) -> None:
    model = {"pixels": list(range(1000)), "deep": {"er": [{"est": True}, None]}, "thing": object}
    text = " ".join(Page(render(make_plain(model=model))).text.split())
    assert "1,000 values" in text
    assert "The first 200 of 1,000" in text
    assert "yes" in text


def test_the_page_is_the_same_twice(plain_evaluation: Evaluation) -> None:
    assert render(plain_evaluation) == render(plain_evaluation)


def test_the_page_of_many_images_stays_small(plain_evaluation: Evaluation) -> None:
    generator = np.random.default_rng(0)
    curve = Curve(np.sort(generator.random(25_596)), np.sort(generator.random(25_596)))
    precision = Curve(curve.x, 0.2 + 0.1 * generator.random(25_596))
    results = tuple(
        replace(plain_evaluation.labels[0], label=f"Finding {number}", roc=curve, precision_recall=precision)
        for number in range(14)
    )
    evaluation = replace(plain_evaluation, labels=results)
    html = render_html(evaluation, {name: to_svg(draw(evaluation)) for name, draw in FIGURES.items()})
    assert len(html.encode()) < 3_000_000


def test_the_parts_of_the_page_are_in_the_package() -> None:
    folder = Path(cxr_lightning.report.__file__).parent / "page"
    assert {path.suffix for path in folder.iterdir()} == {".j2", ".css", ".js"}
