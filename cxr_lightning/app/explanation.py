"""Heat maps of an evaluated checkpoint, for its report."""

import logging
from collections.abc import Collection
from typing import TYPE_CHECKING

from omegaconf import DictConfig

if TYPE_CHECKING:
    from cxr_lightning.data.datamodule import ChestXRayDataModule
    from cxr_lightning.data.dataset import ChestXRayDataset
    from cxr_lightning.evaluation.evaluate import Subject
    from cxr_lightning.evaluation.results import Evaluation
    from cxr_lightning.explain.explanation import Explanation, Sanity
    from cxr_lightning.explain.grad_cam import GradCam
    from cxr_lightning.explain.heatmaps import Choice
    from cxr_lightning.inference.predictions import Predictions
    from cxr_lightning.models.classifier import ChestXRayClassifier
    from cxr_lightning.models.postprocess import Fitted

logger = logging.getLogger(__name__)


def explain(
    config: DictConfig,
    model: "ChestXRayClassifier",
    datamodule: "ChestXRayDataModule",
    subject: "Subject",
    evaluation: "Evaluation",
    fitted: "Fitted | None",
) -> "Explanation | None":
    """A gallery of the best labels and of images that are asked for, and scores against the annotated boxes.

    Args:
        config: ``conf/evaluate.yaml``, composed.
        model: That was evaluated.
        datamodule: Of the evaluated images.
        subject: What was evaluated.
        evaluation: Its numbers, which choose the labels.
        fitted: Operating points; None where there are none.

    Returns:
        None where nothing is asked for.
    """
    from cxr_lightning.explain.explanation import Explanation
    from cxr_lightning.explain.grad_cam import GradCam
    from cxr_lightning.explain.heatmaps import best_labels, choose_gallery, draw_overlays
    from cxr_lightning.explain.localization import localise

    if config.gradcam.top == 0:
        return None
    camera = GradCam(model.eval(), config.gradcam.target_layer)
    predictions, boxes = subject.predictions, datamodule.manifest.boxes
    dataset = datamodule.dataset(config.split)
    labels = best_labels(evaluation.labels, config.gradcam.top)
    logger.info("heat maps of %s", ", ".join(labels) or "no label")
    choices = [*choose_gallery(predictions, labels, fitted), *_asked_for(config, predictions, labels)]
    return Explanation(
        method=f"Grad-CAM by captum, target layer {config.gradcam.target_layer} of {model.hparams['backbone']}; "
        "positive evidence only, upsampled bilinearly, each map divided by its own maximum",
        chosen=f"those with the highest AUROC on the {config.split} images ({len(labels)}); of each the most confident "
        f"true positive, false positive and false negative, called positive {_threshold_words(fitted)}",
        gallery=draw_overlays(camera, dataset, predictions, choices, boxes),
        localisation=localise(camera, dataset, predictions, boxes, replicates=config.replicates, seed=config.seed),
        sanity=_sanity(config, camera, dataset, predictions, choices),
    )


def check_heatmaps(config: DictConfig, model: "ChestXRayClassifier", image_ids: Collection[str]) -> None:
    """Refuse, before anything is predicted, images that are not there and a layer that the network has not.

    Raises:
        ValueError: If there are any.
    """
    from cxr_lightning.explain.grad_cam import GradCam

    GradCam(model, config.gradcam.target_layer)
    known = set(image_ids)
    if unknown := [name for name in config.gradcam.images if name not in known]:
        raise ValueError(
            f"Expected `gradcam.images` among the {len(known):,} evaluated images but got {unknown[:5]}. "
            "Give names as in `Image Index`, or another `split`."
        )


def _threshold_words(fitted: "Fitted | None") -> str:
    known = fitted is not None and any("youden" in points for points in fitted.thresholds.values())
    return "from the threshold of the operating point youden on" if known else "from a probability of 0.5 on"


def _asked_for(config: DictConfig, predictions: "Predictions", labels: tuple[str, ...]) -> "list[Choice]":
    from cxr_lightning.explain.heatmaps import Choice

    rows = {str(name): row for row, name in enumerate(predictions.image_ids)}
    return [Choice(rows[name], label, "asked for") for name in config.gradcam.images for label in labels]


def _sanity(
    config: DictConfig,
    camera: "GradCam",
    dataset: "ChestXRayDataset",
    predictions: "Predictions",
    choices: "list[Choice]",
) -> "Sanity | None":
    """Of the true positives in the gallery, as many as are asked for."""
    import torch

    from cxr_lightning.explain.sanity import check_sanity

    shown = [choice for choice in choices if choice.kind == "true positive"][: config.gradcam.sanity]
    if not shown:
        return None
    images = torch.stack([dataset[choice.row]["image"] for choice in shown])
    columns = [camera.model.labels.index(choice.label) for choice in shown]
    return check_sanity(camera, images, columns, config.seed)
