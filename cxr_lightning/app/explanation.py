"""Heat maps of an evaluated checkpoint, for its report."""

import logging
from collections.abc import Collection
from functools import partial

import torch
from torch import Tensor

from cxr_lightning.app.evaluate_settings import EvaluateSettings
from cxr_lightning.data.datamodule import ChestXRayDataModule
from cxr_lightning.data.dataset import ChestXRayDataset
from cxr_lightning.evaluation.gallery import (
    GalleryItem,
    annotated_pairs,
    choose_gallery,
    choose_requested,
    overlay_requests,
    uses_youden,
)
from cxr_lightning.evaluation.results import Evaluation
from cxr_lightning.explain.grad_cam import GradCam
from cxr_lightning.explain.heatmaps import compute_overlays
from cxr_lightning.explain.localization import score_localization
from cxr_lightning.explain.results import TRUE_POSITIVE, Explanation, SanityResult
from cxr_lightning.explain.sanity import check_sanity
from cxr_lightning.inference.predictions import Predictions
from cxr_lightning.metrics.ranking import top_labels
from cxr_lightning.models.classifier import ChestXRayClassifier
from cxr_lightning.models.postprocess import PostProcessing
from cxr_lightning.utils.progress import progress_bar

logger = logging.getLogger(__name__)


def explain_evaluation(
    settings: EvaluateSettings,
    model: ChestXRayClassifier,
    datamodule: ChestXRayDataModule,
    predictions: Predictions,
    evaluation: Evaluation,
    postprocessing: PostProcessing | None,
) -> Explanation | None:
    """Draw heat maps of the best labels and of requested images, and score them against annotated boxes.

    Args:
        settings: The settings of the evaluation.
        model: The evaluated model.
        datamodule: The data of the evaluated images.
        predictions: Predictions of the evaluated images.
        evaluation: Results of the evaluation, whose AUROC selects the labels.
        postprocessing: Operating points; None where there are none.

    Returns:
        None where no heat maps are requested.
    """
    if settings.gradcam.top == 0:
        return None
    grad_cam = GradCam(model.eval().network, settings.gradcam.target_layer)
    boxes = datamodule.manifest.boxes
    read_image = partial(_read_image, datamodule.dataset(settings.split))
    labels = top_labels({result.label: result.auroc.value for result in evaluation.labels}, settings.gradcam.top)
    logger.info("heat maps of %s", ", ".join(labels) or "no label")
    choices = choose_gallery(predictions, labels, postprocessing)
    choices += choose_requested(predictions, labels, settings.gradcam.images)
    annotated = annotated_pairs(predictions, boxes, model.labels)
    with progress_bar(
        "heat maps of annotated images",
        len({pair.row for pair in annotated}),
        shown=settings.progress_bar and bool(annotated),
    ) as advance:

        def read_annotated(row: int) -> Tensor:
            advance()
            return read_image(row)

        localization = score_localization(
            grad_cam, read_annotated, annotated, predictions.labels, replicates=settings.replicates, seed=settings.seed
        )
    return Explanation(
        backbone=grad_cam.network.backbone_name,
        target_layer=settings.gradcam.target_layer,
        split=settings.split,
        labels=len(labels),
        by_youden=uses_youden(postprocessing),
        gallery=compute_overlays(grad_cam, read_image, overlay_requests(predictions, choices, boxes, model.labels)),
        localization=localization,
        sanity=_sanity(settings, grad_cam, model, datamodule.dataset(settings.split), choices),
    )


def check_heatmaps(settings: EvaluateSettings, model: ChestXRayClassifier, image_ids: Collection[str]) -> None:
    """Refuse, before anything is predicted, images that are not evaluated and a layer that the network lacks.

    Raises:
        ValueError: If there are any.
    """
    GradCam(model.network, settings.gradcam.target_layer)
    known = set(image_ids)
    if unknown := [name for name in settings.gradcam.images if name not in known]:
        raise ValueError(
            f"Expected `gradcam.images` among the {len(known):,} evaluated images but got {unknown[:5]}. "
            "Give names as in `Image Index`, or another `split`."
        )


def _read_image(dataset: ChestXRayDataset, row: int) -> Tensor:
    return dataset[row]["image"]


def _sanity(
    settings: EvaluateSettings,
    grad_cam: GradCam,
    model: ChestXRayClassifier,
    dataset: ChestXRayDataset,
    choices: list[GalleryItem],
) -> SanityResult | None:
    """Sanity checks on the true positives of the gallery, as many as are requested."""
    true_positives = [choice for choice in choices if choice.kind == TRUE_POSITIVE][: settings.gradcam.sanity]
    if not true_positives:
        return None
    images = torch.stack([dataset[choice.row]["image"] for choice in true_positives])
    columns = [model.labels.index(choice.label) for choice in true_positives]
    return check_sanity(grad_cam, images, columns, settings.seed)
