import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from cxr_lightning.evaluation.label_result import Curve
from cxr_lightning.evaluation.results import Evaluation
from cxr_lightning.metrics.calibration import ReliabilityCurve
from cxr_lightning.report.figure_export import save_png, to_svg
from cxr_lightning.report.finding_curves import draw_reliability, draw_roc, thin_curve
from cxr_lightning.report.report_folder import FIGURES
from cxr_lightning.utils.plain_text import shorten

Draw = Callable[[Evaluation], Figure]


@pytest.fixture(params=FIGURES)
def draw(request: pytest.FixtureRequest) -> Draw:
    found: Draw = FIGURES[request.param]
    return found


def texts(svg: str) -> list[str]:
    return ["".join(element.itertext()) for element in ElementTree.fromstring(svg).iter("text")]


def test_a_figure_of_synthetic_data_says_so_even_where_its_title_does_not(
    draw: Draw, synthetic_evaluation: Evaluation
) -> None:
    for synthetic in (True, False):
        data = {**synthetic_evaluation.data, "synthetic": synthetic}
        assert any("SYNTHETIC" in text for text in texts(to_svg(draw(replace(synthetic_evaluation, data=data)))))


def test_a_figure_of_real_data_does_not_say_that_it_is_synthetic(draw: Draw, plain_evaluation: Evaluation) -> None:
    assert "SYNTHETIC" not in to_svg(draw(plain_evaluation))


def test_a_drawing_is_inert_xml(draw: Draw, hostile_evaluation: Evaluation) -> None:
    svg = to_svg(draw(hostile_evaluation))
    root = ElementTree.fromstring(svg)
    assert svg.startswith("<svg")
    assert {element.tag for element in root.iter()} <= {
        "svg",
        "title",
        "g",
        "path",
        "defs",
        "use",
        "text",
        "clipPath",
        "rect",
    }
    assert not [name for element in root.iter() for name in element.attrib if name.startswith("on")]
    assert "http" not in svg
    assert root.attrib["role"] == "img"
    assert root[0].tag == "title"


def test_names_are_drawn_as_they_are(hostile_evaluation: Evaluation) -> None:
    drawn = "\n".join(texts(to_svg(draw_roc(hostile_evaluation))))
    for name in ("<script>alert(1)</script>", "$\\frac{", "[bold]f[/]", "xxx…"):
        assert name in drawn


def test_a_drawing_takes_its_colors_from_the_page(draw: Draw, synthetic_evaluation: Evaluation) -> None:
    svg = to_svg(draw(synthetic_evaluation))
    assert not re.findall(r"#[0-9a-f]{6}", svg)
    assert {"var(--blue)", "currentColor", "var(--font)"} <= set(re.findall(r"var\(--\w+\)|currentColor", svg))


def test_a_figure_is_drawn_the_same_twice(draw: Draw, plain_evaluation: Evaluation, tmp_path: Path) -> None:
    assert to_svg(draw(plain_evaluation)) == to_svg(draw(plain_evaluation))
    for name in ("first.png", "second.png"):
        save_png(draw(plain_evaluation), tmp_path / name)
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()


def test_drawings_share_no_id(plain_evaluation: Evaluation) -> None:
    ids: list[str] = []
    for draw in FIGURES.values():
        svg = to_svg(draw(plain_evaluation))
        own = re.findall(r'\bid="([^"]+)"', svg)
        assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg)) == set(own)
        ids += own
    assert len(ids) == len(set(ids))


def test_what_is_not_defined_says_so(draw: Draw, undefined_evaluation: Evaluation) -> None:
    drawn = texts(to_svg(draw(undefined_evaluation)))
    assert "n/a" in " ".join(drawn)
    assert not [text for text in drawn if "nan" in text.lower()]


@pytest.mark.parametrize("labels", [1, 4, 14, 30])
def test_figures_of_any_number_of_findings_are_readable_pictures(
    plain_evaluation: Evaluation, labels: int, tmp_path: Path
) -> None:
    names = [f"Finding {number}" for number in range(labels)]
    results = tuple(replace(plain_evaluation.labels[0], label=name) for name in names)
    figure = draw_roc(replace(plain_evaluation, labels=results))
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert len(panels) == labels
    save_png(figure, tmp_path / "roc.png")
    with Image.open(tmp_path / "roc.png") as picture:
        assert picture.width == pytest.approx(150 * figure.get_figwidth(), abs=1)
        assert picture.convert("RGB").getpixel((1, 1)) == (255, 255, 255)
        assert 400 < picture.width <= 1500


def test_operating_points_lie_at_their_rates(plain_evaluation: Evaluation) -> None:
    panel = draw_roc(plain_evaluation).axes[0]
    drawn = [np.asarray(line.get_xydata()) for line in panel.lines]
    marks = np.concatenate([points for points in drawn if len(points) == 1])
    assert marks == pytest.approx(np.array([[0.25, 0.8], [0.6, 0.94]]))


@pytest.mark.parametrize(("highest", "limit"), [(0.01, 0.01), (0.04, 0.05), (0.3, 0.5), (0.6, 1.0)])
def test_a_reliability_diagram_is_as_large_as_its_points(
    plain_evaluation: Evaluation, highest: float, limit: float
) -> None:
    points = ReliabilityCurve(np.array([0.0, highest]), np.array([0.0, highest / 2]), np.array([5, 5]))
    result = replace(plain_evaluation.labels[0], reliability=points, calibration=None)
    panel = draw_reliability(replace(plain_evaluation, labels=(result,))).axes[0]
    assert panel.get_xticks()[-1] == panel.get_yticks()[-1] == limit
    assert panel.get_xlim()[1] >= highest


def test_a_thinned_curve_keeps_its_ends_and_stays_within_a_pixel() -> None:
    generator = np.random.default_rng(0)
    x, y = np.sort(generator.random(20_000)), np.sort(generator.random(20_000))
    kept_x, kept_y = thin_curve(Curve(x, y))
    assert len(kept_x) < 1000
    assert (kept_x[0], kept_x[-1], kept_y[0], kept_y[-1]) == (x[0], x[-1], y[0], y[-1])
    assert np.abs(np.interp(x, kept_x, kept_y) - y).max() < 2 / 400  # two of the cells that are told apart


def test_a_thinned_empty_curve_is_empty() -> None:
    assert len(thin_curve(Curve(np.empty(0), np.empty(0)))[0]) == 0


def test_drawing_leaves_the_settings_of_others_alone(draw: Draw, plain_evaluation: Evaluation) -> None:
    before = dict(mpl.rcParams)
    to_svg(draw(plain_evaluation))
    assert dict(mpl.rcParams) == before


def test_control_characters_are_drawn_as_escapes() -> None:
    assert shorten("a\x00b\nc\u202e\ud800", 40) == r"a\x00b\nc\u202e\ud800"


def test_a_mean_without_interval_is_drawn(plain_evaluation: Evaluation) -> None:
    estimate = replace(plain_evaluation.auroc.estimate, low=math.nan, high=math.nan)
    mean = replace(plain_evaluation.auroc, estimate=estimate)
    for name in ("auroc", "subgroups"):
        assert "mean 0." in to_svg(
            FIGURES[name](replace(plain_evaluation, means={**plain_evaluation.means, "auroc": mean}))
        )
