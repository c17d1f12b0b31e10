"""What a run records about its data, and the division of the data by an earlier run's record."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from cxr_lightning.data.datasets.base import DatasetLayout
from cxr_lightning.data.datasets.registry import layout_record
from cxr_lightning.data.image_access import ImageAccess
from cxr_lightning.data.label_policy import LabelPolicy
from cxr_lightning.data.manifest import Manifest, fingerprint
from cxr_lightning.data.selection import Selection


def data_record(
    manifest: Manifest,
    root: Path,
    layout: DatasetLayout,
    policy: LabelPolicy,
    selection: Selection,
    images: ImageAccess,
    batch_size: int,
) -> dict[str, Any]:
    """Fingerprint and settings of a run's data as plain values.

    Args:
        manifest: The selected and checked table.
        root: The data set's folder.
        layout: The layout of its files.
        policy: What its label columns were taken for.
        selection: Which images were selected, and how they were divided.
        images: How images were read.
        batch_size: Images per batch.

    Returns:
        The :func:`~cxr_lightning.data.manifest.fingerprint`, ``subset``, and ``settings``: the data module's arguments.
    """
    settings = selection.to_settings()
    subset = settings.pop("subset")
    return {
        **fingerprint(manifest),
        "subset": subset,
        "settings": {
            "root": str(root.absolute()),
            "source": layout_record(layout),
            "labels": list(manifest.labels),
            "label_map": None if policy.label_map is None else dict(policy.label_map),
            "uncertain": dict(policy.uncertain) if isinstance(policy.uncertain, Mapping) else policy.uncertain,
            **settings,
            "on_bad_image": images.on_bad_image,
            "on_flag": images.on_flag,
            "force": images.spec.force,
            "image_size": images.spec.image_size,
            "interpolation": images.spec.interpolation,
            "batch_size": batch_size,
        },
    }


def recorded_settings(record: Mapping[str, Any]) -> dict[str, Any]:
    """The data module's arguments in an earlier run's :func:`data_record`, with their current values.

    Until version 0.2 ``walkthrough`` was a second name of the split ``official``.
    """
    settings = dict(record["settings"])
    if settings.get("split") == "walkthrough":
        settings["split"] = "official"
    return settings


def apply_recorded_selection(manifest: Manifest, record: Mapping[str, Any]) -> Manifest:
    """Select and divide images as an earlier run did; image files are not looked at.

    Args:
        manifest: The whole table, with at least the labels of that run.
        record: The earlier run's :func:`data_record`.

    Raises:
        ValueError: If the recorded settings do not fit the table.
    """
    settings = recorded_settings(record)
    selection = Selection.from_settings({**settings, "subset": record["subset"]})
    labels = tuple(settings["labels"])
    return selection.apply(replace(manifest, labels=labels)).manifest
