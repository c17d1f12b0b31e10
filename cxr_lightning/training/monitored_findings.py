"""Monitored findings whose AUROC is undefined, which is known once the data is."""

from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor

from cxr_lightning.data.datamodule import ChestXRayDataModule
from cxr_lightning.utils.suggestions import did_you_mean

LABEL_AUROC_PREFIX = "val/auroc/"
"""Prefix of the name of a finding's AUROC."""


def undefined_findings(
    datamodule: ChestXRayDataModule, validated_images: int, monitor: str, monitored: Mapping[str, Sequence[str]]
) -> Iterator[str]:
    """Describe monitored findings without positives or negatives, or that are none of the data.

    Args:
        datamodule: The data, set up.
        validated_images: Number of the validation images that are used, the first ones.
        monitor: Name of the run's monitored metric.
        monitored: Metrics that parts of the run monitor, with the dotted keys of these.
    """
    places = {name: f"{' and '.join(map(repr, keys))} ({name})" for name, keys in monitored.items()}
    for name, place in (places | {monitor: f"'monitor.name={monitor}'"}).items():
        label = name.removeprefix(LABEL_AUROC_PREFIX)
        if label == name:
            continue
        if label not in datamodule.labels:
            hint = did_you_mean(label, datamodule.labels) or f"They are {', '.join(datamodule.labels)}."
            yield f"Expected a finding of the data for {place} but there is no '{label}'. {hint}"
            continue
        column = datamodule.labels.index(label)
        counts = {
            "training": _counts(datamodule.targets("train")[:, column]),
            "validation": _counts(datamodule.targets("val")[:validated_images, column]),
        }
        if any(0 in pair for pair in counts.values()):
            listed = " and ".join(
                f"{positives} positives and {negatives} negatives among the {split} images"
                for split, (positives, negatives) in counts.items()
            )
            yield (
                f"Expected a finding with positives and negatives among the training and the validation images for "
                f"{place} but {label} has {listed}. Choose another finding, or val/auroc, the mean over those that "
                "are defined."
            )


def _counts(targets: Tensor) -> tuple[int, int]:
    """Number of positives and of negatives; unknown targets (NaN) are neither."""
    return int((targets == 1).sum()), int((targets == 0).sum())
