"""Which pictures are shown, what maps are worth against boxes, and sanity checks, on tiny networks."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from cxr_lightning.data.dataset import ChestXRayDataset, ImageFiles
from cxr_lightning.data.manifest import target_array
from cxr_lightning.evaluation.gallery import annotated_pairs, choose_gallery, overlay_requests, select_boxes
from cxr_lightning.explain.grad_cam import GradCam
from cxr_lightning.explain.heatmaps import ReadImage, compute_overlays
from cxr_lightning.explain.localization import score_localization
from cxr_lightning.explain.results import LocalizationResult
from cxr_lightning.explain.sanity import check_sanity, rank_correlation
from cxr_lightning.inference.predictions import Predictions, predictions_of
from cxr_lightning.metrics.ranking import top_labels
from cxr_lightning.models.classifier import ChestXRayClassifier
from cxr_lightning.models.postprocess import PostProcessing

Draw = Callable[..., tuple[Predictions, pd.DataFrame]]
LABELS = ("Mass", "Edema")


def test_the_best_labels_are_those_with_the_highest_auroc_and_never_undefined() -> None:
    auroc = {"a": 0.6, "b": math.nan, "c": 0.9, "d": 0.7}
    assert top_labels(auroc, 2) == ("c", "d")
    assert top_labels(auroc, 9) == top_labels(auroc) == ("c", "d", "a")


def gallery_predictions() -> Predictions:
    table = pd.DataFrame({"image_id": list("abcdef"), "patient_id": list("123456")})
    table["Mass"] = np.array([1, 1, 0, 0, 1, math.nan], dtype=np.float32)
    return predictions_of(table, ("Mass",), np.array([[0.9], [0.7], [0.8], [0.1], [0.2], [0.99]]))


def test_the_gallery_holds_the_most_confident_of_each_kind() -> None:
    shown = [(choice.row, choice.kind) for choice in choose_gallery(gallery_predictions(), ["Mass"], None)]
    assert shown == [(0, "true positive"), (2, "false positive"), (4, "false negative")]


def test_the_gallery_follows_the_operating_point_and_leaves_out_kinds_that_there_are_not() -> None:
    fitted = PostProcessing("v", {}, {"Mass": {"youden": 0.15}}, {})
    shown = [(choice.row, choice.kind) for choice in choose_gallery(gallery_predictions(), ["Mass"], fitted)]
    assert shown == [(0, "true positive"), (2, "false positive")]


@pytest.fixture
def world(tmp_path: Path) -> tuple[ChestXRayClassifier, ChestXRayDataset, Predictions]:
    """Twelve images with a bright corner each, and a network that was never trained."""
    generator = np.random.default_rng(0)
    paths = []
    for number in range(12):
        pixels = generator.integers(0, 60, (64, 64), dtype=np.uint8)
        pixels[:32, 32 * (number % 2) : 32 * (number % 2) + 32] += 150
        paths.append(str(tmp_path / f"{number}.png"))
        Image.fromarray(pixels).save(paths[-1])
    table = pd.DataFrame({"image_id": [f"{n}.png" for n in range(12)], "patient_id": [str(n // 2) for n in range(12)]})
    table["path"] = paths
    for label in LABELS:
        table[label] = np.ones(12, dtype=np.float32)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = ChestXRayClassifier(LABELS, backbone="densenet_micro", image_size=64).eval()
    dataset = ChestXRayDataset(ImageFiles(paths, 64), target_array(table, LABELS))
    return model, dataset, predictions_of(table, LABELS, np.full((12, 2), 0.6))


def boxes_in(corner: Callable[[int], float]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"image_id": f"{n}.png", "label": "Mass", "x": corner(n), "y": 0.0, "width": 0.5, "height": 0.5}
            for n in range(12)
        ]
    )


class Pointing(GradCam):
    """Maps that are right by construction: hot in the bright corner."""

    def heatmaps_of_pairs(self, images: torch.Tensor, image: torch.Tensor, column: torch.Tensor) -> torch.Tensor:
        means = torch.nn.functional.avg_pool2d(images.float(), 32)[:, 0]
        return (means - 120).clamp(min=0)[image]


World = tuple[ChestXRayClassifier, ChestXRayDataset, Predictions]


def reader(dataset: ChestXRayDataset) -> ReadImage:
    return lambda row: dataset[row]["image"]


def localized(
    grad_cam: GradCam, dataset: ChestXRayDataset, predictions: Predictions, boxes: pd.DataFrame, replicates: int = 50
) -> tuple[LocalizationResult, ...]:
    pairs = annotated_pairs(predictions, boxes, LABELS)
    return score_localization(grad_cam, reader(dataset), pairs, predictions.labels, replicates=replicates, seed=0)


def test_maps_that_point_into_the_boxes_score_fully_and_beat_the_controls(world: World) -> None:
    model, dataset, predictions = world
    boxes = boxes_in(lambda number: 0.5 * (number % 2))
    label, everything = localized(Pointing(model.network), dataset, predictions, boxes, replicates=200)
    assert (label.label, everything.label, label.images) == ("Mass", "all", 12)
    assert label.hit_rate.value == 1.0
    assert label.best_iou == 1.0
    assert label.iobb_accuracy[0.5] == 1.0
    assert label.best_hit_rate == 1.0
    assert label.random_hit_rate.value == 0.25  # one of four cells
    assert label.over_random.value == 0.75
    assert math.isnan(label.over_random.low)  # the same for every image: no draw would vary
    assert label.center_hit_rate.value == 0.0  # a box ends before its lower edge, which is where the center is
    assert label.empty == 0


def test_maps_that_point_elsewhere_score_nothing(world: World) -> None:
    model, dataset, predictions = world
    boxes = boxes_in(lambda number: 0.5 * ((number + 1) % 2))
    label = localized(Pointing(model.network), dataset, predictions, boxes)[0]
    assert label.hit_rate.value == 0.0
    assert label.iou_accuracy[0.3] == 0.0


def test_boxes_of_other_images_and_findings_do_not_count(world: World) -> None:
    model, dataset, predictions = world
    boxes = boxes_in(lambda _: 0.0).assign(image_id="other.png")
    assert localized(GradCam(model.network), dataset, predictions, boxes) == ()
    boxes = boxes_in(lambda _: 0.0).assign(label="Hernia")
    assert localized(GradCam(model.network), dataset, predictions, boxes) == ()


def test_overlays_carry_the_image_its_numbers_and_its_boxes(world: World) -> None:
    model, dataset, predictions = world
    boxes = boxes_in(lambda _: 0.25)
    choices = choose_gallery(predictions, ["Mass"], None)
    requests = overlay_requests(predictions, choices, boxes, LABELS)
    (overlay,) = compute_overlays(GradCam(model.network), reader(dataset), requests)
    assert (overlay.image_id, overlay.label, overlay.kind) == ("0.png", "Mass", "true positive")
    assert overlay.boxes == select_boxes(boxes, "0.png", "Mass") == ((0.25, 0.0, 0.5, 0.5),)
    assert overlay.image.shape == overlay.heatmap.shape == (64, 64)
    assert overlay.heatmap.max() in (0.0, pytest.approx(1.0))
    assert (overlay.probability, overlay.target) == (0.6, 1.0)


def test_sanity_checks_leave_the_model_alone_and_see_that_weights_matter(world: World) -> None:
    model, dataset, _ = world
    before = {name: value.clone() for name, value in model.state_dict().items() if isinstance(value, torch.Tensor)}
    images = torch.stack([dataset[row]["image"] for row in range(3)])
    found = check_sanity(GradCam(model.network), images, [0, 1, 0], seed=0)
    assert found is not None
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in before.items())
    stages = list(found.similarity)
    assert stages[0] == "classifier"
    assert stages[-1] == "conv0"
    assert all(-1 <= value <= 1 for value in found.similarity.values())
    assert abs(found.similarity["conv0"]) < 0.9
    for value in (found.deletion, found.random_deletion, found.insertion, found.random_insertion):
        assert 0 < value < 1


def test_rank_correlation_by_hand() -> None:
    assert rank_correlation(np.array([1.0, 2, 2, 4]), np.array([1.0, 2, 2, 4])) == 1.0
    assert rank_correlation(np.array([1.0, 2, 3]), np.array([3.0, 2, 1])) == -1.0
    assert rank_correlation(np.array([1.0, 2, 3]), np.zeros(3)) == 0.0
    # Ranks 1, 2.5, 2.5, 4 and 2, 1, 3, 4, about their means: products 0.75, 0, 0, 2.25 of lengths 4.5 and 5.
    expected = 3.0 / math.sqrt(4.5 * 5)
    assert rank_correlation(np.array([1.0, 2, 2, 4]), np.array([2.0, 1, 3, 4])) == pytest.approx(expected)
