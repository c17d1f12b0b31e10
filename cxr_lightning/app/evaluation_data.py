"""The data of an evaluation, and the model in a foreign weight file, which may need that data."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.utils import instantiate

from cxr_lightning.app.evaluate_settings import EvaluateSettings
from cxr_lightning.checkpoints.foreign.build import build_foreign_model
from cxr_lightning.checkpoints.foreign.model_settings import ForeignSettings, resolve_foreign_model
from cxr_lightning.checkpoints.load import as_classifier
from cxr_lightning.data.data_check import DataRequest
from cxr_lightning.data.datamodule import ChestXRayDataModule
from cxr_lightning.data.datasets.csv_table import CsvLayout
from cxr_lightning.data.datasets.phantom import PhantomLayout
from cxr_lightning.data.datasets.registry import build_layout, layout_record, layouts
from cxr_lightning.data.excluded_images import write_excluded_images
from cxr_lightning.data.manifest import SPLITS
from cxr_lightning.data.record import recorded_settings
from cxr_lightning.data.selection import Selection
from cxr_lightning.models.classifier import ChestXRayClassifier
from cxr_lightning.training.pixel_statistics import training_statistics
from cxr_lightning.utils.command_line import hydra_value

logger = logging.getLogger(__name__)


def load_foreign(path: str, settings: EvaluateSettings) -> tuple[ChestXRayClassifier, ChestXRayDataModule]:
    """Load a model from a foreign file, with pixel statistics of the data's training images where it needs them.

    Args:
        path: The weight file.
        settings: The settings of the evaluation, with the data, and what the file does not say of its model.

    Returns:
        The model, and the loaded data module.

    Raises:
        FileNotFoundError: If the weight file, the data's folder, a table or an image is not there.
        ValueError: If no data is chosen, the file or the data cannot be read, or a setting of the model is missing.
    """
    if settings.data is None:
        raise ValueError(
            f"Expected `data` beside '{path}', which does not record its data. For example: data=nih root=FOLDER."
        )
    foreign = resolve_foreign_model(path, ForeignSettings(**vars(settings.source)))
    size = {"image_size": foreign.settings.image_size, "interpolation": foreign.settings.interpolation}
    datamodule = build_datamodule(settings, {}, foreign.labels, size)
    # The statistics need a few hundred training images, so the others are not prepared for the cache.
    training = ("train",) if foreign.needs_statistics else ()
    load_data(datamodule, settings, images=(settings.split, "val", *training), prepared=(settings.split, "val"))
    statistics: tuple[float | None, float | None] = (None, None)
    if foreign.needs_statistics and not datamodule.rows("train").empty:
        statistics = training_statistics(datamodule)
        logger.info("mean %.3f and standard deviation %.3f of training pixels, computed", *statistics)
    for decision in foreign.decisions:
        logger.info("%s", decision)
    source = "given" if statistics[0] is None else f"computed from training images in '{datamodule.root}'"
    return as_classifier(build_foreign_model(foreign, *statistics, statistics_source=source)), datamodule


def build_datamodule(
    settings: EvaluateSettings, metadata: Mapping[str, Any], model_labels: Sequence[str], size: Mapping[str, Any]
) -> ChestXRayDataModule:
    """Build the data module from the configured data or the checkpoint's metadata, with the model's image size.

    Args:
        settings: The settings of the evaluation.
        metadata: The checkpoint's metadata.
        model_labels: The model's labels.
        size: The model's ``image_size`` and ``interpolation``.

    Raises:
        ValueError: If there are no data settings, or labels are requested that the model does not have.
    """
    data = metadata.get("data", {})
    recorded = recorded_settings(data) if "settings" in data else {}
    overrides = {
        "image_size": size["image_size"],
        "interpolation": size["interpolation"],
        "batch_size": settings.batch_size or recorded.get("batch_size", 16),
        "num_workers": settings.num_workers,
        "cache": settings.cache,
        "cache_dir": f"{settings.paths.cache_dir}/images",
        **({} if settings.uncertain is None else {"uncertain": settings.uncertain}),
    }
    if settings.data is not None:
        labels = list(settings.data.get("labels") or model_labels)
        if unknown := [label for label in labels if label not in model_labels]:
            raise ValueError(
                f"Expected `data.labels` among the model's, {list(model_labels)}, but got {unknown}. Leave them out."
            )
        datamodule: ChestXRayDataModule = instantiate(dict(settings.data), labels=labels, _convert_="all", **overrides)
        return datamodule
    if not recorded:
        raise ValueError(
            "Expected data settings in the checkpoint but it has none. Choose the data: data=nih root=FOLDER."
        )
    source = build_layout(**recorded.pop("source"))
    root = settings.root or recorded["root"]
    if isinstance(source, PhantomLayout) and not source.folder(Path(root)).is_dir():
        if settings.root:
            raise FileNotFoundError(
                f"Expected the synthetic set '{source.spec.name}' in '{settings.root}' but it is not there. "
                "Leave `root` out, and it is made anew in the cache."
            )
        root = f"{settings.paths.cache_dir}/phantom"  # the images were made on another machine: make the same here
    return ChestXRayDataModule(**{**recorded, "root": root, "subset": data["subset"], **overrides}, source=source)


def check_datamodule(datamodule: ChestXRayDataModule, model_labels: Sequence[str], size: Mapping[str, Any]) -> None:
    """Refuse data that a model cannot predict: other labels, or images of another size.

    Args:
        datamodule: The data; it need not be set up.
        model_labels: The model's labels.
        size: The model's ``image_size`` and ``interpolation``.

    Raises:
        ValueError: If they differ.
    """
    spec = datamodule.images.spec
    if (spec.image_size, spec.interpolation) != (size["image_size"], size["interpolation"]):
        raise ValueError(
            f"Expected a data module with images of {size['image_size']} px, {size['interpolation']}, as the model's, "
            f"but got {spec.image_size} px, {spec.interpolation}. Set its `image_size` and `interpolation`."
        )
    if unknown := [label for label in datamodule.chosen_labels or () if label not in model_labels]:
        raise ValueError(
            f"Expected a data module with labels among the model's, {list(model_labels)}, but got {unknown[:5]}. "
            "Leave them out."
        )


def load_data(
    datamodule: ChestXRayDataModule,
    settings: EvaluateSettings,
    images: Sequence[str],
    *,
    prepared: Sequence[str] = SPLITS,
    recorded: bool = False,
) -> None:
    """Read the data, and write to the report folder which images are excluded.

    Args:
        datamodule: The data module, which is loaded.
        settings: The settings of the evaluation: its split, which must not be empty, and the report folder.
        images: Splits whose images must be on disk.
        prepared: Those of them that are prepared, with ``cache``.
        recorded: Whether the data are those that the checkpoint records; other settings then need ``data`` too.

    Raises:
        FileNotFoundError: If the data's folder, a table or an image is not there.
        ValueError: If a table cannot be read, an image cannot be used, the evaluated split is empty, or several things
            are wrong.
    """
    datamodule.prepare_data()
    beside = _recorded_overrides(datamodule) if recorded else ()
    datamodule.load(DataRequest((settings.split,), images, prepared, cache_setting="cache=true", beside=beside))
    if settings.paths.output_dir is not None:
        write_excluded_images(datamodule.manifest, Path(settings.paths.output_dir))


def _recorded_overrides(datamodule: ChestXRayDataModule) -> tuple[str, ...]:
    """Overrides that choose the data which a checkpoint records; none for a layout of another package."""
    options = layout_record(datamodule.source)
    name = options.pop("name")
    if name not in layouts():
        return ()
    defaults = Selection().to_settings()
    selection = {key: value for key, value in datamodule.selection.to_settings().items() if value != defaults[key]}
    images = datamodule.images
    policies = {"on_bad_image": images.on_bad_image, "on_flag": images.on_flag}
    chosen = {"root": str(datamodule.root), **selection}
    chosen |= {key: policy for key, policy in policies.items() if policy == "skip"}
    chosen |= {"force": True} if images.spec.force else {}
    if name == CsvLayout.name:  # it has no labels of its own, and another default of the split
        chosen |= {"split": datamodule.selection.split, "labels": list(datamodule.chosen_labels or ())}
    policy = datamodule.label_policy
    chosen |= {"label_map": dict(policy.label_map)} if policy.label_map else {}
    if policy.uncertain is not None:
        chosen["uncertain"] = policy.uncertain if isinstance(policy.uncertain, str) else dict(policy.uncertain)
    chosen |= {f"source.{key}": value for key, value in options.items() if value is not None}
    return (f"data={name}", *(f"data.{key}={hydra_value(value)}" for key, value in chosen.items()))
