"""Images in memory: their results are those of their files; what is no input is refused before anything is computed."""

import io
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cxr_lightning.explain.grad_cam import GradCam
from cxr_lightning.explain.heatmaps import image_heatmaps
from cxr_lightning.imaging.reader import read_gray, resize
from cxr_lightning.inference.predictor import Predictor
from cxr_lightning.inference.results import Result, Results
from tests.model_files import LABELS, Gray
from tests.unit.imaging.test_dicom import content_of, dataset_of


def kinds_of(path: Path) -> list[Any]:
    """A file's picture in every kind that is taken; arrays of floating-point numbers are in [0, 1]."""
    content, gray = path.read_bytes(), read_gray(path)
    streams = [io.BytesIO(content), path.open("rb")]
    arrays = [gray, gray[..., None], np.stack([gray] * 3, axis=-1), gray / 255, (gray / 255).astype(np.float32)]
    datasets = [dataset_of(gray), io.BytesIO(content_of(dataset_of(gray)))]
    return [path, str(path), content, memoryview(content), *streams, *arrays, Image.open(path), *datasets]


def same(found: Result, expected: Result) -> bool:
    # By their exact texts: NaN, of which there are some, equals nothing from Python 3.13 on.
    return repr(found.findings) == repr(expected.findings) and found.flags == expected.flags


def test_every_kind_of_input_has_the_bits_of_its_file(model: Predictor, films: list[Path]) -> None:
    (expected,) = model.predict(films[0])
    for source in kinds_of(films[0]):
        is_float = isinstance(source, np.ndarray) and source.dtype.kind == "f"
        (found,) = model.predict(source, value_range=(0, 1) if is_float else None)
        assert same(found, expected), type(source)
        np.testing.assert_array_equal(found.image, resize(read_gray(films[0]), 64))


def test_lists_mix_kinds_and_a_generator_is_a_list(model: Predictor, films: list[Path]) -> None:
    expected = model.predict(films[:3])
    first = Image.open(films[0])
    mixed: list[Any] = [first, read_gray(films[1]) / 255, films[2].read_bytes()]
    for several in (mixed, tuple(mixed), iter(mixed), (source for source in mixed)):
        results = model.predict(several, value_range=(0, 1))
        assert [result.probabilities for result in results] == [result.probabilities for result in expected]
        assert [result.name for result in results] == ["image 1", "image 2", "image 3"]
    assert isinstance(results, Results)
    assert model.predict(iter([])) == []


def test_one_by_one_equals_in_a_list(model: Predictor, films: list[Path]) -> None:
    arrays = [read_gray(path) for path in films[:20]]
    together = model.predict(arrays)
    for array, expected in zip(arrays, together, strict=True):
        alone = model.predict(array)[0].probabilities
        assert list(alone.values()) == pytest.approx(list(expected.probabilities.values()), abs=1e-6)


def test_a_buffer_that_is_filled_anew_gives_a_result_for_each_filling(model: Predictor, films: list[Path]) -> None:
    buffer = np.empty((96, 96), np.uint8)

    def fillings() -> Iterator[Gray]:
        for path in films[:20]:
            buffer[:] = read_gray(path)
            yield buffer

    found = [result.probabilities for result in model.predict(fillings())]
    assert found == [result.probabilities for result in model.predict(films[:20])]


def test_results_have_names_and_what_the_model_carries(model: Predictor, films: list[Path]) -> None:
    with films[0].open("rb") as file:
        of_file, of_stream, of_array = model.predict([films[0], file, read_gray(films[0])])
    assert (of_file.path, of_file.name) == (films[0], str(films[0]))
    assert (of_stream.path, of_stream.name) == (None, str(films[0]))
    assert (of_array.path, of_array.name) == (None, "image 3")
    assert of_array.to_json()["file"] == "image 3"
    assert (of_array.operating_point, of_array.synthetic) == ("youden", False)
    assert of_array.thresholds == pytest.approx({"Effusion": 0.0, "Mass": 1.0, "Hernia": np.nan}, nan_ok=True)
    assert of_array.calibrated["Mass"] == of_array.probabilities["Mass"]
    assert of_array.image is not None
    assert "image" not in of_array.to_json()
    assert next(iter(model.predict_each([films[0]]))).image is None


def test_what_is_no_usable_image_is_rejected_in_its_place(model: Predictor, films: list[Path]) -> None:
    gray = read_gray(films[0])
    other = dataset_of(gray, Modality="CT")
    results = model.predict([b"<html>", gray, Image.new("F", (9, 9)), other])
    assert [result.status for result in results] == ["rejected", "ok", "rejected", "rejected"]
    assert [result.flags[0].code for result in results if result.flags] == [
        "web_page",
        "damaged",
        "not_a_chest_radiograph",
    ]
    assert all(result.image is None and not result.findings for result in results if result.rejected)
    assert model.predict(other, force=True)[0].findings


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (7, "as 'image 1' but got int"),
        (None, "as 'image 1' but got NoneType"),
        ({"a": "b"}, "as 'image 1' but got dict"),
        ([np.zeros((9, 9), np.uint8), 7], "as 'image 2' but got int"),
        ([np.zeros((9, 9), np.uint8), np.zeros((3, 9, 9), np.uint8)], "in 'image 2' but got the shape"),
        ([[np.zeros((9, 9), np.uint8)]], r"as 'image 1' but got list\. Give a flat list"),
        (np.zeros((5, 9, 9), np.uint8), r"several images\. Give them as a list"),
        (np.zeros((9, 9)), "Expected value_range"),
    ],
)
def test_what_is_no_input_is_refused_in_words(
    model: Predictor, monkeypatch: pytest.MonkeyPatch, images: Any, message: str
) -> None:
    monkeypatch.setattr(model.backend, "probabilities", lambda images: pytest.fail("computed"))
    with pytest.raises(ValueError, match=message):
        model.predict(images)


def test_a_range_is_stated_of_arrays_alone(model: Predictor, films: list[Path]) -> None:
    with pytest.raises(ValueError, match=r"no value_range for .*, which is no array"):
        model.predict(films[0], value_range=(0, 1))
    with pytest.raises(ValueError, match="two finite numbers"):
        model.predict([films[0]], value_range=(1, 0))
    with pytest.raises(ValueError, match=r"for uint8 in 'image 2' but got \(0\.0, 1\.0\)"):
        model.predict([films[0], read_gray(films[0])], value_range=(0, 1))


def test_heat_maps_are_those_of_the_file_in_every_kind(model: Predictor, films: list[Path]) -> None:
    (result,) = model.predict(films[0])
    assert result.image is not None
    images = torch.from_numpy(result.image.copy())[None, None]
    expected = image_heatmaps(GradCam(model.model.network), images, [LABELS.index("Mass"), LABELS.index("Effusion")])[0]
    for source in kinds_of(films[0]):
        is_float = isinstance(source, np.ndarray) and source.dtype.kind == "f"
        found = model.explain(source, ["Mass", "Effusion"], value_range=(0, 1) if is_float else None)
        for overlay, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(overlay.heatmap, other)
            np.testing.assert_array_equal(overlay.image, result.image)
            assert overlay.probability == result.probabilities[overlay.label]
            assert overlay.picture.size == (64, 64)


def test_findings_are_chosen_by_the_operating_points_or_else_the_most_probable(
    model: Predictor, films: list[Path]
) -> None:
    assert [overlay.label for overlay in model.explain(films[0])] == ["Effusion"]
    model.postprocessing = None
    (result,) = model.predict(films[0])
    assert result.most_probable is not None
    assert [overlay.label for overlay in model.explain(films[0])] == [result.most_probable.label]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["Mass", "Other"], r"among the model's, \['Effusion', 'Mass', 'Hernia'\], but got \['Other'\]"),
        ([], r"a list of findings but got \[\]"),
        ("Mass", "a list of findings but got 'Mass'"),
        (["Hernia"], r"was trained on but got \['Hernia'\]"),
    ],
)
def test_findings_that_have_no_heat_map_are_refused(
    model: Predictor, films: list[Path], labels: Any, message: str
) -> None:
    model.classifier.metadata["untrained_labels"] = ["Hernia"]
    with pytest.raises(ValueError, match=message):
        model.explain(films[0], labels)


def test_images_that_have_no_heat_map_are_refused(model: Predictor, films: list[Path]) -> None:
    with pytest.raises(ValueError, match="Expected an image in 'image 1' but it is a web page"):
        model.explain(b"<html>")
    with pytest.raises(ValueError, match="as 'image 1' but got list"):
        model.explain([films[0]])  # type: ignore[arg-type]


class OwnMaps:
    """A backend whose maps tell their columns."""

    labels, image_size, interpolation, batch_size, concurrency = LABELS, 64, "bilinear", 16, 1
    refusal = ""

    def __init__(self) -> None:
        self.metadata: dict[str, Any] = {"data": {"synthetic": True}}

    def probabilities(self, images: Gray) -> tuple[Any, None]:
        return np.tile([0.1, 0.3, 0.2], (len(images), 1)), None

    def divided_cores(self) -> Any:
        return nullcontext(lambda: None)

    def check_heatmaps(self) -> None:
        if self.refusal:
            raise ValueError(self.refusal)

    def heatmaps(self, images: Gray, columns: list[int], target_layer: str = "post_relu") -> Any:
        return np.stack([np.full(images.shape, column / 4, np.float32) for column in columns], axis=1)


def test_heat_maps_are_those_of_the_requested_findings(films: list[Path]) -> None:
    overlays = Predictor(OwnMaps()).explain(films[0], ["Hernia", "Mass"])  # type: ignore[arg-type]
    assert [(overlay.label, float(overlay.heatmap.max()), overlay.probability) for overlay in overlays] == [
        ("Hernia", 0.5, 0.2),
        ("Mass", 0.25, 0.3),
    ]
    assert "TRAINED ON SYNTHETIC DATA" in overlays._repr_html_()


def test_a_model_without_heat_maps_is_refused_before_anything_is_read() -> None:
    backend = OwnMaps()
    backend.refusal = "Expected class-activation maps but there are none."
    with pytest.raises(ValueError, match="class-activation maps"):
        Predictor(backend).explain(7)  # type: ignore[arg-type]


def test_what_a_generator_closes_or_gives_twice_is_read_in_time(model: Predictor, films: list[Path]) -> None:
    def opened() -> Iterator[Any]:
        for path in films[:20]:
            with Image.open(path) as image:
                yield image
            with path.open("rb") as file:
                yield file

    expected = [result.probabilities for result in model.predict([path for path in films[:20] for _ in range(2)])]
    assert [result.probabilities for result in model.predict(opened())] == expected
    image = Image.open(films[0])
    assert [result.probabilities for result in model.predict([image] * 20)] == [expected[0]] * 20
