"""Whether a run fits its data: the checks of settings that need the number of images and the findings."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pytorch_lightning as pl

from cxr_lightning.data.datamodule import ChestXRayDataModule
from cxr_lightning.training.batch_limits import count_batches, splits_without_batches
from cxr_lightning.training.callbacks import best_checkpoint_never_kept, unreached_averages
from cxr_lightning.training.missing_validation import missing_validation
from cxr_lightning.training.monitored_findings import undefined_findings
from cxr_lightning.training.run_length import RunLength


@dataclass(frozen=True)
class PlannedRun:
    """A run that is about to begin.

    Attributes:
        trainer: The trainer, with its limits.
        callbacks: Those of its callbacks that are configured, by their dotted keys.
        train: Whether the run trains and validates.
        test: Whether it tests.
        monitor: Name of the run's monitored metric.
        monitored: Metrics that parts of the run monitor, with the dotted keys of these.
    """

    trainer: pl.Trainer
    callbacks: Mapping[str, pl.Callback]
    train: bool
    test: bool
    monitor: str
    monitored: Mapping[str, Sequence[str]]

    @property
    def splits(self) -> list[str]:
        """The splits whose images it uses."""
        return [*(["train", "val"] if self.train else []), *(["test"] if self.test else [])]


def check_run_fits_data(run: PlannedRun, datamodule: ChestXRayDataModule) -> None:
    """Refuse what Lightning would refuse when the step begins (the test after all training), or not at all.

    Args:
        run: The run.
        datamodule: The data, set up.

    Raises:
        ValueError: If a fraction leaves no batch of a split that is used, the training ends before a validation, an
            average or a best checkpoint that is configured, or a monitored finding is undefined; all in one message.
    """
    problems = list(splits_without_batches(run.trainer, datamodule, run.splits))
    if run.train and not problems and not run.trainer.fast_dev_run:  # type: ignore[attr-defined]  # set by Lightning's connector
        problems += _training_problems(run, datamodule)
    if problems:
        raise ValueError(" ".join(problems))


def _training_problems(run: PlannedRun, datamodule: ChestXRayDataModule) -> Iterator[str]:
    length = RunLength(run.trainer, count_batches(run.trainer, datamodule, "train"))
    yield from missing_validation(length, run.monitored)
    yield from unreached_averages(run.callbacks, length.steps)
    yield from best_checkpoint_never_kept(run.callbacks, length.steps)
    validated = count_batches(run.trainer, datamodule, "val") * datamodule.batch_size * run.trainer.world_size
    if validated:
        yield from undefined_findings(datamodule, validated, run.monitor, run.monitored)
