"""Configurations of version 0.1: names that have changed since, and runs that cannot be resumed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from cxr_lightning.app.hydra_record import read_config
from cxr_lightning.app.run_identity import settings_of
from cxr_lightning.training.run_folder import last_checkpoint, unfinished_runs
from cxr_lightning.training.run_settings import read_settings
from cxr_lightning.utils.command_line import pasteable_override

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

_RENAMED_RESOLVERS = {"${val_share:": "${val_fraction:"}
_CONFIG_FILE = ".hydra/config.yaml"


def refuse_run_of_0_1(config: DictConfig, folder: Path) -> None:
    """Refuse to start anew, with ``resume=auto``, where version 0.1 has begun a run of the same settings.

    Args:
        config: ``conf/train.yaml``, composed.
        folder: The run's folder.

    Raises:
        ValueError: If there is such a run, in this folder or beside it.
    """
    runs = [folder] if last_checkpoint(folder) else unfinished_runs(folder.parent)
    for run in runs:
        if _is_same_run_of_0_1(run, config):
            raise ValueError(
                f"Expected a run of this version to resume but '{run}' is of version 0.1, whose runs cannot be "
                "resumed. Resume it with version 0.1, or start a new training from it with "
                f"{pasteable_override('model.weights', last_checkpoint(run))} instead."
            )


def _is_same_run_of_0_1(run: Path, config: DictConfig) -> bool:
    """Whether version 0.1 began a run with the same settings, as far as both versions have them."""
    path = run / _CONFIG_FILE
    if read_settings(run) is not None or not path.is_file():
        return False
    former: Any = OmegaConf.to_container(read_config(path))
    renamed = _with_current_names(former)
    if renamed == former:  # of a later version
        return False
    there, here = settings_of(OmegaConf.create(renamed)).compared, settings_of(config).compared
    return all(there[key] == here[key] for key in there.keys() & here.keys())


def _with_current_names(value: Any) -> Any:  # noqa: ANN401  # any YAML value
    if isinstance(value, dict):
        return {key: _with_current_names(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_current_names(inner) for inner in value]
    if not isinstance(value, str):
        return value
    for former, current in _RENAMED_RESOLVERS.items():
        value = value.replace(former, current)
    return RENAMED_TARGETS.get(value, value)
