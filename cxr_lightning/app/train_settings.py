"""Settings of train.py: every plain key with its type, default, meaning and rule."""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from pkgutil import resolve_name
from typing import ClassVar, Literal

from omegaconf import DictConfig, OmegaConf, open_dict
from pydantic import Field

from cxr_lightning.app.callback_settings import callback_setting_problems
from cxr_lightning.app.config_check import Node, Nodes, check_config
from cxr_lightning.app.data_contradictions import (
    data_contradictions,
    trained_labels,
    training_data_contradictions,
)
from cxr_lightning.app.data_root import apply_root, root_contradictions
from cxr_lightning.app.monitor_check import monitor_problems
from cxr_lightning.app.part_folders import folder_problems
from cxr_lightning.app.resolvers import MODE_OF_NAME
from cxr_lightning.app.train_contradictions import training_contradictions
from cxr_lightning.app.trainer_contradictions import trainer_contradictions
from cxr_lightning.app.value_check import Settings
from cxr_lightning.training.run_folder import has_checkpoint
from cxr_lightning.utils.paths import file_problem, refuse_url

MAX_SEED = 2**32 - 1
"""The highest seed that NumPy's older generator takes."""
_PRECISIONS = frozenset({"32", "32-true", "16-mixed", "bf16-mixed"})
_PART_PROBLEMS = "cxr_lightning.app.part_check:find_part_problems"
"""Imported after all checks that need no torch, which takes seconds to import."""


class Folders(Settings):
    """Folders of both programs."""

    log_dir: str
    cache_dir: str = Field(description="files that can be made again: the synthetic set, prepared images")


class TrainPaths(Folders):
    """Folders of train.py."""

    output_dir: str = Field(description="this run's folder")


class Monitor(Settings):
    """The metric that checkpoints, early stopping and the plateau schedule monitor."""

    name: str = Field("val/auroc", description="mean over defined labels")
    mode: Literal["min", "max"] | None = Field(
        None, description="min or max, whichever is better; null: that of a loss and of an AUROC is known"
    )


class TrainSettings(Settings):
    """Settings of train.py; the groups' nodes are instantiated, and their constructors own their settings."""

    groups: ClassVar[tuple[str, ...]] = ("debug", "experiment", "hparams_search")
    own_rules: ClassVar[frozenset[str]] = frozenset({"trainer.precision"})

    data: Node
    model: Node
    loss: Node
    optimizer: Node
    scheduler: Node
    trainer: Node
    callbacks: Nodes | None = None
    logger: Nodes | None = None
    paths: TrainPaths
    root: str | None = Field(None, description="the data set's folder, the same as data.root")
    seed: int = Field(
        1,
        ge=0,
        le=MAX_SEED,
        description="of initial weights, image order and augmentation; `data.seed` is that of splits and the "
        "synthetic set",
    )
    train: bool = Field(True, description="false: test `ckpt_path` only")
    test: bool = Field(True, description="test the best checkpoint after training")
    ckpt_path: str | None = Field(None, description="a last.ckpt to resume from, in its own run folder")
    resume: Literal["auto"] | None = Field(
        None,
        description="auto: go on with the newest run of the same settings that is unfinished or is to train longer",
    )
    monitor: Monitor = Monitor()

    def contradictions(self, overrides: Sequence[str] = ()) -> Iterator[str]:
        """Describe the settings that contradict each other, and a checkpoint that is not there."""
        yield from self._step_contradictions()
        yield from root_contradictions(self.root, self.data)
        yield from data_contradictions(self.data)
        yield from training_data_contradictions(self.data)
        yield from training_contradictions(self)
        yield from trainer_contradictions(self)
        yield from callback_setting_problems(self)
        yield from folder_problems(self)
        yield from monitor_problems(self, trained_labels(self.data))

    def _step_contradictions(self) -> Iterator[str]:
        if not self.train and not self.test:
            yield "Expected something to do but got train=false and test=false. Leave one out."
        if not self.train and not self.ckpt_path:
            yield "Expected a checkpoint to test with train=false but `ckpt_path` is null. Set ckpt_path=FILE."
        if str(self.trainer.get("precision")) not in _PRECISIONS:
            yield (
                f"Expected `trainer.precision` among {sorted(_PRECISIONS)} but got {self.trainer.get('precision')!r}. "
                "Weights and pixel statistics are float32 here."
            )
        if self.ckpt_path and self.resume:
            yield "Expected either `ckpt_path` or `resume` but got both. `resume` finds the checkpoint itself."
        if self.resume and not self.train:
            yield "Expected training beside `resume` but got train=false. Set ckpt_path=FILE to test a checkpoint."
        if self.ckpt_path:
            yield from _checkpoint_problems(self.ckpt_path)

    def part_problems(self, wrong: Collection[str]) -> Iterator[str]:
        """Describe what the constructors of the parts refuse, and weights that cannot be read or downloaded."""
        problems: Iterator[str] = resolve_name(_PART_PROBLEMS)(dict(self), trained_labels(self.data), wrong)
        yield from problems


def read_train_settings(
    config: DictConfig, overrides: Sequence[str], known_problems: Sequence[str] = ()
) -> TrainSettings:
    """Check a composed ``conf/train.yaml``, and return its settings.

    Args:
        config: The configuration; ``root`` is set in its ``data`` too, and a ``monitor.mode`` that is null
            becomes that of the name.
        overrides: The ``key=value`` that were given, beside the defaults.
        known_problems: Problems that are known already, with which the others are told.

    Raises:
        ValueError: If anything is wrong; all of it in one message.
        ImportError: If a trusted package cannot be imported.
    """
    apply_root(config, overrides)
    monitor = config.get("monitor")
    if OmegaConf.is_dict(monitor) and not OmegaConf.is_missing(monitor, "mode") and monitor.get("mode") is None:
        with open_dict(monitor):
            monitor.mode = MODE_OF_NAME
    return check_config(config, TrainSettings, overrides, known_problems)


def _checkpoint_problems(path: str) -> Iterator[str]:
    try:
        refuse_url(path, "a local file as `ckpt_path`", "Download it first.")
    except ValueError as error:
        yield str(error)
        return
    if Path(path).suffix == ".safetensors":
        yield (
            f"Expected a checkpoint of a training as `ckpt_path` but got '{path}'. evaluate.py ckpt=FILE tests it, "
            "`model.weights` starts training from it."
        )
    elif not has_checkpoint(Path(path)):
        yield f"Expected a checkpoint at '{path}' but {file_problem(path)}. Set `ckpt_path`."
