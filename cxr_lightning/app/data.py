"""The data that evaluate.py evaluates on, and the model in a foreign weight file, which needs it."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

if TYPE_CHECKING:
    from cxr_lightning.data.datamodule import ChestXRayDataModule
    from cxr_lightning.models.classifier import ChestXRayClassifier

logger = logging.getLogger(__name__)


def load_foreign(path: str, config: DictConfig) -> tuple["ChestXRayClassifier", "ChestXRayDataModule"]:
    """A model from a foreign file, with pixel statistics of the data's training images where they are wanted."""
    from cxr_lightning.checkpoints.foreign.build import build_foreign_classifier, training_statistics
    from cxr_lightning.checkpoints.foreign.resolve import ForeignSettings, resolve_foreign_model

    if "data" not in config:
        raise ValueError(
            f"Expected `data` beside '{path}', which says nothing of its data. Such as data=nih root=FOLDER."
        )
    given: Any = OmegaConf.to_container(config.source)
    foreign = resolve_foreign_model(path, ForeignSettings(**given))
    size = {"image_size": foreign.settings.image_size, "interpolation": foreign.settings.interpolation}
    datamodule = build_datamodule(config, {}, foreign.labels, size)
    # Of the training images a few hundred are looked at, for their statistics: they are not all prepared for that.
    training = ("train",) if foreign.needs_statistics else ()
    load_data(datamodule, config, images=(config.split, "val", *training), prepared=(config.split, "val"))
    statistics: tuple[float | None, float | None] = (None, None)
    if foreign.needs_statistics and not datamodule.rows("train").empty:
        statistics = training_statistics(datamodule)
        logger.info("mean %.3f and standard deviation %.3f of training pixels, computed", *statistics)
    for decision in foreign.decisions:
        logger.info("%s", decision)
    origin = "given" if statistics[0] is None else f"computed from training images in '{datamodule.root}'"
    return build_foreign_classifier(foreign, *statistics, statistics_source=origin), datamodule


def build_datamodule(
    config: DictConfig, record: Mapping[str, Any], known: Sequence[str], size: Mapping[str, Any]
) -> "ChestXRayDataModule":
    """The data that is asked for, or else that of the checkpoint's record; in the model's image size."""
    from cxr_lightning.data.datamodule import ChestXRayDataModule
    from cxr_lightning.data.datasets.phantom import PhantomLayout
    from cxr_lightning.data.datasets.registry import build_layout

    data = record.get("data", {})
    settings = dict(data.get("settings", {}))
    batch_size = config.batch_size or settings.get("batch_size", 16)
    ours = {
        "image_size": size["image_size"],
        "interpolation": size["interpolation"],
        "batch_size": batch_size,
        "num_workers": config.num_workers,
        "cache": config.cache,
        "cache_dir": f"{config.paths.cache_dir}/images",
    }
    if "data" in config:
        labels = list(config.data.labels or known)
        if unknown := [label for label in labels if label not in known]:
            raise ValueError(
                f"Expected `data.labels` among the model's, {list(known)}, but got {unknown}. Leave them out."
            )
        chosen: ChestXRayDataModule = instantiate(config.data, labels=labels, _convert_="all", **ours)
        return chosen
    if not settings:
        raise ValueError(
            "Expected data settings in the checkpoint but it has none. Choose the data: data=nih root=FOLDER."
        )
    source = build_layout(**settings.pop("source"))
    root = config.root or settings["root"]
    if isinstance(source, PhantomLayout) and not source.folder(Path(root)).is_dir():
        if config.root:
            raise FileNotFoundError(
                f"Expected the synthetic set '{source.spec.name}' in '{config.root}' but it is not there. "
                "Leave `root` out, and it is made anew in the cache."
            )
        root = f"{config.paths.cache_dir}/phantom"  # made on another machine: the same images are made again here
    return ChestXRayDataModule(**{**settings, "root": root, "subset": data["subset"], **ours}, source=source)


def load_data(
    datamodule: "ChestXRayDataModule", config: DictConfig, images: Sequence[str], prepared: Sequence[str] | None = None
) -> None:
    """Read the data, and say in the report folder which images are left out."""
    from cxr_lightning.data.excluded_images import write_excluded_images

    datamodule.prepare_data()
    datamodule.load(required=(config.split,), images=images, prepared=prepared)
    write_excluded_images(datamodule.manifest, Path(config.paths.output_dir))
