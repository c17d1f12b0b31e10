"""Classifiers built from foreign weights."""

from cxr_lightning.checkpoints.foreign.model_settings import ForeignModel
from cxr_lightning.checkpoints.installation_check import attach_reference
from cxr_lightning.models.classifier import ChestXRayClassifier


def build_foreign_classifier(
    foreign: ForeignModel, mean: float | None = None, std: float | None = None, statistics_source: str = "given"
) -> ChestXRayClassifier:
    """Build the classifier of a foreign network, in evaluation mode.

    Args:
        foreign: From :func:`~cxr_lightning.checkpoints.foreign.model_settings.resolve_foreign_model`.
        mean: Mean of the training pixels, where ``foreign.needs_statistics``.
        std: Standard deviation of the training pixels, where ``foreign.needs_statistics``.
        statistics_source: Where these two are from, for the metadata.

    Raises:
        ValueError: If the two are required and not given, or the tensors are not those of the whole network.
    """
    settings = foreign.settings
    mean, std = (settings.mean, settings.std) if not foreign.needs_statistics else (mean, std)
    if settings.preprocessing == "featurewise" and (mean is None or std is None):
        raise ValueError(
            f"Expected the mean and standard deviation of training pixels for '{foreign.path}', which is normalized by "
            "them (feature-wise), but they are not given. Give `mean` and `std`, a folder of training images, or "
            "another `preprocessing`."
        )
    featurewise = settings.preprocessing == "featurewise"
    try:
        model = ChestXRayClassifier(
            foreign.labels,
            backbone=foreign.backbone,
            weights=foreign.weights.state,
            image_size=settings.image_size or 224,
            interpolation=settings.interpolation or "bilinear",
            preprocessing=settings.preprocessing or "imagenet",
            mean=mean if featurewise else None,
            std=std if featurewise else None,
            batch_norm_epsilon=foreign.weights.batch_norm_epsilon,
            final_relu=bool(settings.final_relu),
        )
    except ValueError as error:
        raise ValueError(f"Expected a whole {foreign.backbone} in '{foreign.path}' but: {error}") from error
    attach_reference(model)
    model.metadata |= {
        "initial_weights": foreign.path.name,
        "source": {
            "file": foreign.path.name,
            "sha256": foreign.sha256,
            "format": foreign.weights.format,
            "decisions": list(foreign.decisions),
            "pixel statistics": f"{statistics_source}: {mean}, {std}" if featurewise else "none",
        },
    }
    return model.eval()
