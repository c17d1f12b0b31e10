"""Configurations of version 0.1: names that have changed since, and runs that cannot be continued."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from cxr_lightning.training.run_folder import (
    configuration_digest,
    find_unfinished,
    has_configuration,
    last_checkpoint,
)

_CALLBACKS = ("BestCheckpoint", "FiniteLoss", "History", "LastCheckpoint", "ProgressBar", "snapshots")

RENAMED_TARGETS: Mapping[str, str] = {
    "cxr_lightning.data.nih.NIHSource": "cxr_lightning.data.datasets.nih.NIHLayout",
    "cxr_lightning.data.sources.CsvSource": "cxr_lightning.data.datasets.csv_table.CsvLayout",
    "cxr_lightning.data.sources.PhantomSource": "cxr_lightning.data.datasets.phantom.PhantomLayout",
    "cxr_lightning.data.sources.WalkthroughSource": "cxr_lightning.data.datasets.walkthrough.WalkthroughLayout",
    "cxr_lightning.losses.build_loss": "cxr_lightning.losses.bce.build_loss",
    **{f"cxr_lightning.callbacks.{name}": f"cxr_lightning.training.callbacks.{name}" for name in _CALLBACKS},
}
"""Values of ``_target_`` in version 0.1, and the current ones."""

_FORMER_TARGETS = {current: former for former, current in RENAMED_TARGETS.items()}
_FORMER_RESOLVERS = {"${val_fraction:": "${val_share:"}


def refuse_run_of_0_1(config: DictConfig, folder: Path) -> None:
    """Refuse to start anew, with ``resume=auto``, where version 0.1 has begun a run of the same configuration.

    Args:
        config: ``conf/train.yaml``, composed.
        folder: The run's folder.

    Raises:
        ValueError: If there is such a run, in this folder or beside it.
    """
    digest = digest_in_0_1(config)
    run = folder if has_configuration(folder, digest) and last_checkpoint(folder) else None
    if run is None and last_checkpoint(folder) is None:
        run = find_unfinished(folder.parent, digest)
    if run is not None:
        raise ValueError(
            f"Expected a run of this version to continue but '{run}' is of version 0.1, whose runs cannot be "
            "continued. Continue it with version 0.1, or start a new training from it: "
            f"model.weights={last_checkpoint(run)}."
        )


def digest_in_0_1(config: DictConfig) -> str:
    """The digest that version 0.1 had for a configuration; interpolations are not resolved."""
    former: Any = _with_former_names(OmegaConf.to_container(config))
    return configuration_digest(former)


def _with_former_names(value: object) -> object:
    if isinstance(value, dict):
        return {key: _with_former_names(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_former_names(inner) for inner in value]
    if not isinstance(value, str):
        return value
    for current, former in _FORMER_RESOLVERS.items():
        value = value.replace(current, former)
    return _FORMER_TARGETS.get(value, value)
