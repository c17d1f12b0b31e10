"""What a model says of files: formats, batches, calibration, and what is not usable."""

import json
import math
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import cxr_lightning
from cxr_lightning.checkpoints.save import save_classifier
from cxr_lightning.data.dataloader import DistributedShardSampler, build_image_loader
from cxr_lightning.data.dataset import ChestXRayDataset, ImageFiles
from cxr_lightning.inference.batches import predict_batches
from cxr_lightning.inference.predictor import Predictor, load_model
from cxr_lightning.inference.results import read_result
from cxr_lightning.models.classifier import ChestXRayClassifier
from tests.model_files import LABELS, Gray
from tests.unit.imaging.test_dicom import content_of, dataset_of, inverse


def values_of(model: Predictor, path: Path) -> np.ndarray[Any, Any]:
    (result,) = model.predict(path)
    assert result.status == "ok", result.flags
    return np.array(list(result.probabilities.values()))


def test_one_picture_in_every_format_has_the_same_probabilities(model: Predictor, film: Gray, tmp_path: Path) -> None:
    color = np.stack([film] * 3, axis=-1)
    opaque = np.concatenate([color, np.full_like(color[..., :1], 255)], axis=-1)
    Image.fromarray(film).save(tmp_path / "8.png")
    Image.fromarray(film.astype(np.uint16) * 257).save(tmp_path / "16.png")
    Image.fromarray(color).save(tmp_path / "rgb.png")
    Image.fromarray(opaque).save(tmp_path / "rgba.png")
    (tmp_path / "8.dcm").write_bytes(content_of(dataset_of(film)))
    deep = (film.astype(np.int64) * 4095 / 255).round().astype(np.uint16)
    (tmp_path / "12.dcm").write_bytes(content_of(dataset_of(deep, 12)))
    (tmp_path / "inverse.dcm").write_bytes(content_of(inverse(deep, 12)))
    expected = values_of(model, tmp_path / "8.png")
    for name in ("16.png", "rgb.png", "rgba.png", "8.dcm", "12.dcm"):
        assert values_of(model, tmp_path / name) == pytest.approx(expected, abs=1e-4), name
    twins = values_of(model, tmp_path / "12.dcm"), values_of(model, tmp_path / "inverse.dcm")
    assert twins[0] == pytest.approx(twins[1], abs=1e-6)
    Image.fromarray(film).save(tmp_path / "x.jpg", quality=95)
    assert values_of(model, tmp_path / "x.jpg") == pytest.approx(expected, abs=2e-2)


def test_one_by_one_equals_in_batches_and_evaluation(model: Predictor, films: list[Path]) -> None:
    batches, singles = (
        np.array([list(result.probabilities.values()) for result in model.predict_each(films, batch_size=size)])
        for size in (16, 1)
    )
    assert batches == pytest.approx(singles, abs=1e-5)
    dataset = ChestXRayDataset(ImageFiles([str(path) for path in films], 64), np.zeros((len(films), 3), np.float32))
    loader = build_image_loader(dataset, DistributedShardSampler(len(films)), 16, 0)
    evaluated = predict_batches(model.classifier, loader, accelerator="cpu", progress=False).probabilities
    assert batches == pytest.approx(evaluated, abs=1e-6)


def test_findings_are_calibrated_and_judged(model: Predictor, films: list[Path]) -> None:
    (result,) = model.predict(films[0])
    effusion, mass, hernia = result.findings
    assert [finding.label for finding in result.findings] == list(LABELS)
    odds = 2.0 * math.log(effusion.probability / (1 - effusion.probability)) - 0.5
    assert effusion.calibrated == pytest.approx(1 / (1 + math.exp(-odds)))
    assert mass.calibrated == mass.probability
    assert (effusion.above, mass.above, hernia.above) == (True, False, None)
    assert (effusion.prevalence, mass.prevalence) == (0.25, 0.1)
    assert math.isnan(hernia.prevalence)
    assert result.above == (effusion,)
    assert read_result(json.dumps(result.to_json()).encode()).to_json() == result.to_json()


def test_another_operating_point_is_chosen_by_name(model_file: Path, films: list[Path]) -> None:
    (result,) = load_model(model_file, operating_point="f1", device="cpu").predict(films[0])
    assert [finding.above for finding in result.findings] == [False, True, None]
    with pytest.raises(ValueError, match=r"carries, \['f1', 'youden'\], but got 'other'"):
        load_model(model_file, operating_point="other")


def test_a_model_without_anything_fitted_says_so_by_nan(films: list[Path], tmp_path: Path) -> None:
    save_classifier(ChestXRayClassifier(LABELS, backbone="densenet_micro", image_size=64), tmp_path / "bare.ckpt")
    model = cxr_lightning.load_model(tmp_path / "bare.ckpt", device="cpu")
    (result,) = model.predict(str(films[0]))
    assert all(math.isnan(finding.calibrated) and finding.above is None for finding in result.findings)
    assert model.operating_point == ""


def test_files_that_are_no_images_are_rejected_in_their_place(
    model: Predictor, films: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "page.png").write_text("<html>")
    (tmp_path / "ct.dcm").write_bytes(content_of(dataset_of(np.zeros((64, 64), np.uint8), Modality="CT")))
    paths = [tmp_path / "empty.png", films[0], tmp_path / "page.png", tmp_path / "ct.dcm", films[1], tmp_path / "gone"]
    results = model.predict(paths)
    assert [result.path for result in results] == paths
    codes = [[flag.code for flag in result.flags] for result in results]
    assert codes == [["empty"], [], ["web_page"], ["not_a_chest_radiograph"], [], ["unreadable"]]
    assert [result.status for result in results] == ["rejected", "ok", "rejected", "rejected", "ok", "rejected"]
    assert model.predict(tmp_path / "ct.dcm", force=True)[0].status == "warning"
    assert model.predict([]) == []


def test_inverted_films_are_marked_and_predicted_all_the_same(model: Predictor, film: Gray, tmp_path: Path) -> None:
    Image.fromarray(255 - film).save(tmp_path / "x.png")
    (result,) = model.predict(tmp_path / "x.png")
    assert result.status == "warning"
    assert [flag.code for flag in result.flags] == ["inverted"]
    assert len(result.findings) == 3


def test_memory_does_not_grow_with_the_number_of_files(model: Predictor, films: list[Path]) -> None:
    def peak(count: int) -> int:
        tracemalloc.start()
        for _ in model.predict_each((films * 10)[:count], batch_size=8):
            pass
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(16)
    assert peak(200) < peak(40) + 500_000


def test_a_device_that_is_not_there_is_one_error(model_file: Path) -> None:
    with pytest.raises(ValueError, match="usable device but got 'tpu'"):
        load_model(model_file, device="tpu")
    with pytest.raises(ValueError, match="usable device but got 'meta'"):
        load_model(model_file, device="meta")
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="usable device but got 'cuda'"):
            load_model(model_file, device="cuda")


@pytest.mark.parametrize("name", ["model.ckpt", "model.onnx", "model.h5", "model.safetensors"])
def test_a_url_is_no_model_file(name: str) -> None:
    with pytest.raises(ValueError, match=rf"a local checkpoint but got the URL 'https://host/{name}'\. Download it"):
        load_model(f"https://host/{name}")


@pytest.mark.parametrize("size", [0, -1, True, 2.5, "4", 10**20])
def test_a_wrong_size_of_batches_is_refused(model: Predictor, films: list[Path], size: Any) -> None:
    with pytest.raises(ValueError, match="`batch_size` to be a whole number from 1 to 65,536"):
        list(model.predict_each(films[:3], batch_size=size))


@pytest.mark.parametrize("threads", [0, -1, 10**6, 2.5])
def test_a_wrong_number_of_threads_is_refused(model_file: Path, threads: Any) -> None:
    with pytest.raises(ValueError, match="`threads` to be a whole number from 1 to 1,024"):
        load_model(model_file, threads=threads)


def test_one_path_is_one_image_and_findings_may_be_generated(model: Predictor, films: list[Path]) -> None:
    (result,) = model.predict_each(str(films[0]))
    assert result.path == films[0]
    assert [overlay.label for overlay in model.explain(films[0], (label for label in ["Mass"]))] == ["Mass"]  # type: ignore[arg-type]
