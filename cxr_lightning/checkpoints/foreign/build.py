"""Models built from foreign weights."""

from cxr_lightning.checkpoints.foreign.model_settings import ForeignModel
from cxr_lightning.checkpoints.installation_check import attach_reference
from cxr_lightning.models.trained_model import LoadedModel, build_network
from cxr_lightning.models.weights import load_initial_weights
from cxr_lightning.utils.file_names import METADATA_FORMAT
from cxr_lightning.utils.versions import versions


def build_foreign_model(
    foreign: ForeignModel, mean: float | None = None, std: float | None = None, statistics_source: str = "given"
) -> LoadedModel:
    """Build the model of a foreign network, in evaluation mode.

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
        hparams = {
            "labels": list(foreign.labels),
            "backbone": foreign.backbone,
            "image_size": settings.image_size or 224,
            "interpolation": settings.interpolation or "bilinear",
            "preprocessing": settings.preprocessing or "imagenet",
            "mean": mean if featurewise else None,
            "std": std if featurewise else None,
            "batch_norm_epsilon": foreign.weights.batch_norm_epsilon,
            "final_relu": bool(settings.final_relu),
        }
        network = build_network(hparams)
        load_initial_weights(network.backbone, foreign.backbone, foreign.weights.state)
    except ValueError as error:
        raise ValueError(f"Expected a whole {foreign.backbone} in '{foreign.path}' but: {error}") from error
    metadata = {
        "format": METADATA_FORMAT,
        "versions": versions(),
        "initial_weights": foreign.path.name,
        "source": {
            "file": foreign.path.name,
            "sha256": foreign.sha256,
            "format": foreign.weights.format,
            "decisions": list(foreign.decisions),
            "pixel statistics": f"{statistics_source}: {mean}, {std}" if featurewise else "none",
        },
    }
    model = LoadedModel(network.eval(), tuple(foreign.labels), hparams, metadata)
    attach_reference(model)
    return model
