import io
import re
from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from cxr_lightning.explain.results import Explanation, Overlay
from cxr_lightning.report.captions import alternative_text, overlay_file_names
from cxr_lightning.report.figure_export import small_png
from cxr_lightning.report.overlays import blend_heatmap, overlay_figure, overlay_row_figure

MakeOverlay = Callable[..., Overlay]


def texts(figure: Figure) -> list[str]:
    inside = [text.get_text() for axes in figure.axes for text in (*axes.texts, axes.yaxis.label)]
    return [*(text.get_text() for text in figure.texts), *inside]


def panels(figure: Figure) -> list[np.ndarray]:
    return [np.asarray(axes.images[0].get_array()) for axes in figure.axes[:2]]


def test_the_first_panel_is_the_image_and_the_second_differs_where_the_map_is_hot(make_overlay: MakeOverlay) -> None:
    overlay = make_overlay()
    plain, hot = panels(overlay_figure(overlay, "data"))
    assert np.array_equal(plain, np.repeat(overlay.image[..., None] / 255, 3, axis=2))
    change = np.abs(hot - plain).max(axis=2)
    assert change[overlay.heatmap < 1e-4].max() < 0.02  # a fortieth of what covers at most
    assert change[overlay.heatmap > 0.9].min() > 0.1


def test_a_hotter_place_is_lighter_whatever_lies_below() -> None:
    strengths = np.linspace(0.3, 1, 50, dtype=np.float32)[None]
    for level in (0.0, 0.5):
        light = blend_heatmap(np.full((1, 50, 3), level), strengths) @ np.array([0.2126, 0.7152, 0.0722])
        assert (np.diff(light) > 0).all()


def test_boxes_are_outlined_in_both_panels(make_overlay: MakeOverlay) -> None:
    figure = overlay_figure(make_overlay(boxes=((0.1, 0.2, 0.3, 0.4), (0.5, 0.6, 0.2, 0.1))), "data")
    for axes in figure.axes[:2]:
        boxes = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
        assert [box.get_bbox().bounds for box in boxes] == [
            pytest.approx((0.1, 0.2, 0.3, 0.4)),
            pytest.approx((0.5, 0.6, 0.2, 0.1)),
        ]
        assert axes.get_ylim() == (1, 0)  # fractions from the upper left corner


def test_the_heading_says_what_is_shown(make_overlay: MakeOverlay) -> None:
    drawn = texts(overlay_figure(make_overlay("Mass", "false positive", target=0.0), "data: nih"))
    assert {"data: nih", "Not for clinical use.", "Mass, false positive"} <= set(drawn)
    assert "probability 0.750, target absent, image 00000001_000.png" in drawn
    assert "fraction of this map's maximum" in drawn


def test_an_empty_map_says_so_and_has_no_color_bar(make_overlay: MakeOverlay) -> None:
    overlay = make_overlay(heatmap=np.zeros((32, 32), dtype=np.float32))
    figure = overlay_figure(overlay, "data")
    plain, second = panels(figure)
    assert np.array_equal(plain, second)
    assert "no positive evidence" in texts(figure)
    assert len(figure.axes) == 2
    assert "no positive evidence" in alternative_text(overlay)


def test_what_is_not_known_is_not_a_number(undefined_explanation: Explanation) -> None:
    drawn = " ".join(texts(overlay_figure(undefined_explanation.gallery[0], "data")))
    assert "probability n/a, target unknown" in drawn
    assert "nan" not in drawn.lower()


def test_a_picture_of_synthetic_data_stands_out(make_overlay: MakeOverlay) -> None:
    title, other = (
        overlay_figure(make_overlay(), "SYNTHETIC DATA. phantom", synthetic=synthetic).texts[0]
        for synthetic in (True, False)
    )
    assert title.get_text().startswith("SYNTHETIC DATA")
    assert title.get_fontweight() == "bold"
    assert title.get_color() != other.get_color()


def test_names_are_drawn_as_they_are(hostile_explanation: Explanation) -> None:
    for overlay in hostile_explanation.gallery[::2]:
        figure = overlay_figure(overlay, overlay.image_id)
        assert not any(text.get_parse_math() for text in figure.texts)
        small_png(figure)
    assert "$\\frac{, true positive" in texts(overlay_figure(hostile_explanation.gallery[4], ""))


def test_the_longest_names_fit(make_overlay: MakeOverlay) -> None:
    figure = overlay_figure(make_overlay("W" * 99, "W" * 99, image_id="0" * 99), "a" * 99)
    assert max(text.get_window_extent().x1 for text in figure.texts) <= figure.bbox.x1


@pytest.mark.parametrize("size", [96, 320])
def test_a_picture_is_small_and_the_same_twice(make_overlay: MakeOverlay, size: int) -> None:
    png = small_png(overlay_figure(make_overlay(size=size), "data"))
    assert png == small_png(overlay_figure(make_overlay(size=size), "data"))
    assert 5_000 < len(png) < 200_000
    with Image.open(io.BytesIO(png)) as picture:
        assert picture.size == (900, 543)
        assert "Software" not in picture.info


def test_coarser_colors_stay_near_the_true_ones(make_overlay: MakeOverlay) -> None:
    figure, buffer = overlay_figure(make_overlay(), "data"), io.BytesIO()
    figure.savefig(buffer, dpi=150)
    with Image.open(buffer) as true, Image.open(io.BytesIO(small_png(figure))) as small:
        difference = np.asarray(true.convert("RGB"), dtype=int) - np.asarray(small, dtype=int)
    assert np.abs(difference).max() <= 3


def test_file_names_are_safe_and_differ_even_where_case_does_not_count(hostile_explanation: Explanation) -> None:
    names = overlay_file_names(hostile_explanation.gallery)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+_[A-Za-z0-9_-]+_[0-9]+\.png", name) for name in names)
    assert len({name.lower() for name in names}) == len(names)
    assert max(map(len, names)) < 140


def test_file_names_say_finding_and_kind(explanation: Explanation) -> None:
    assert overlay_file_names((*explanation.gallery, explanation.gallery[0])) == (
        "Mass_true-positive_1.png",
        "Hernia_false-negative_1.png",
        "Mass_false-positive_1.png",
        "Mass_true-positive_2.png",
    )


def test_a_row_is_the_image_and_its_maps_side_by_side(make_overlay: MakeOverlay) -> None:
    box = (0.1, 0.2, 0.3, 0.4)
    overlays = [make_overlay("Mass", boxes=()), make_overlay("Edema", boxes=(box,))]
    figure = overlay_row_figure(overlays, "SYNTHETIC DATA", synthetic=True)
    image, first, second = figure.axes[:3]
    gray = np.repeat(overlays[0].image[..., None] / 255, 3, axis=2)
    assert np.array_equal(np.asarray(image.images[0].get_array()), gray)
    for axes, overlay in ((first, overlays[0]), (second, overlays[1])):
        assert np.array_equal(np.asarray(axes.images[0].get_array()), blend_heatmap(gray, overlay.heatmap))
    assert [len(axes.patches) for axes in (image, first, second)] == [0, 0, 1]
    left = [axes.get_position().x0 for axes in (image, first, second)]
    assert left == sorted(left)
    assert len({round(axes.get_position().y0, 6) for axes in (image, first, second)}) == 1
    drawn = texts(figure)
    assert {"SYNTHETIC DATA", "Not for clinical use.", "image 00000001_000.png", "Mass", "Edema"} <= set(drawn)
    assert drawn.count("probability 0.750") == 2
    assert "fraction of this map's maximum" in drawn


def test_a_row_of_more_than_four_maps_is_broken(make_overlay: MakeOverlay) -> None:
    figure = overlay_row_figure([make_overlay(label) for label in "ABCDEF"], "data")
    tops = [round(axes.get_position().y1, 6) for axes in figure.axes[:8]]
    assert len(set(tops)) == 2
    assert tops == [tops[0]] * 5 + [tops[5]] * 3
    assert tops[5] < tops[0]
    assert all(0 <= axes.get_position().y0 < axes.get_position().y1 <= 1 for axes in figure.axes)


def test_a_row_without_any_evidence_has_no_color_bar(make_overlay: MakeOverlay) -> None:
    figure = overlay_row_figure([make_overlay(heatmap=np.zeros((32, 32), dtype=np.float32))], "data")
    assert len(figure.axes) == 2
    assert "no positive evidence" in texts(figure)
