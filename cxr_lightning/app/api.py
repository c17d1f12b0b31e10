"""The programs as functions: ``from cxr_lightning import train, evaluate, compare``.

They give the numbers of the commands, and write only what is said here (and the cache, ``paths.cache_dir``). Beside
progress bars (in a notebook only with ipywidgets) they print nothing; the caller's logging, warnings, environment,
random numbers and handlers of signals stay as they are.
"""

import logging
import os
import re
import signal
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf, open_dict

from cxr_lightning.app.all_problems import all_problems_told
from cxr_lightning.app.configuration import check_overrides, compose_settings, conf_folder, own_hydra, search_path
from cxr_lightning.app.data_root import without_data_node
from cxr_lightning.app.errors import explain_lost_process
from cxr_lightning.app.evaluate_settings import read_evaluate_settings
from cxr_lightning.app.hydra_check import check_hydra
from cxr_lightning.app.output_folder import check_output_folder
from cxr_lightning.utils.signals import Stopped, stop_on_signals

if TYPE_CHECKING:
    from cxr_lightning.data.datamodule import ChestXRayDataModule
    from cxr_lightning.report.comparison_report import ComparisonReport
    from cxr_lightning.report.evaluation_report import EvaluationReport
    from cxr_lightning.training.trained_run import TrainedRun

_RUN_TRAINING = "cxr_lightning.app.train_run:run_in_python"
_RUN_EVALUATION = "cxr_lightning.app.evaluate_job:run_evaluation"
_SILENCE = "cxr_lightning.app.entry_point:ignore_intended_warnings"
_ISOLATE_RNG = "pytorch_lightning.utilities.seed:isolate_rng"
_LIGHTNING_LOGGER = "pytorch_lightning.utilities.rank_zero"
_SEED_VARIABLES = ("PL_GLOBAL_SEED", "PL_SEED_WORKERS")
"""Variables that Lightning sets with the seed."""
_LOADING = ("batch_size", "num_workers", "cache")
"""Settings of a data module's loading."""


def train(*overrides: str, config_dir: str | Path | None = None) -> "TrainedRun":
    """Train a model, test its best checkpoint, and write a run folder, as ``cxr train`` does.

    Args:
        overrides: Settings as on the command line, such as ``"data.subset=true"``.
        config_dir: Folder with further configuration files, in the groups of ``conf/``.

    Returns:
        The run: its folder, summary and best checkpoint.

    Raises:
        ValueError: If a setting or the data is wrong.
        FileNotFoundError: If a file is not there.

    Example:
        >>> run = train("data.subset=true", "trainer.max_epochs=1")  # doctest: +SKIP
        >>> run.best_checkpoint  # doctest: +SKIP
    """
    given = [*check_overrides(overrides), *search_path(config_dir)]
    with own_hydra():
        with all_problems_told("train"):
            job = check_hydra(conf_folder(), "train", given)
        if job is not None:
            check_output_folder(job.config, sweep=job.sweep)
        with _kept_state():
            run: TrainedRun = resolve_name(_RUN_TRAINING)(given)
    return run


def evaluate(
    ckpt: str | Path | None = None,
    *overrides: str,
    datamodule: "ChestXRayDataModule | None" = None,
    config_dir: str | Path | None = None,
    output_dir: str | Path | None = None,
    **settings: Any,  # noqa: ANN401  # fields of EvaluateSettings, each of its own type
) -> "EvaluationReport":
    """Evaluate a checkpoint, or anybody's predictions, as ``cxr evaluate`` does.

    Args:
        ckpt: A checkpoint or a bare weight file, or ``latest``; None with ``predictions=``.
        overrides: Settings as on the command line, such as ``"data=nih"`` or ``"data.split=all"``.
        datamodule: The data to evaluate a checkpoint on, instead of settings.
        config_dir: Folder with further configuration files, in the groups of ``conf/``.
        output_dir: Folder for what is written on the way (predictions.csv, excluded images); by default none is.
        settings: Fields of :class:`~cxr_lightning.app.evaluate_settings.EvaluateSettings`, such as ``root``,
            ``predictions``, ``replicates`` or ``gradcam={"top": 0}``.

    Returns:
        The report; ``report.write(folder)`` writes what evaluate.py writes.

    Raises:
        ValueError: If a setting, the data or the predictions are wrong.
        FileNotFoundError: If a file is not there.

    Example:
        >>> report = evaluate("best.ckpt", root="/data/nih")  # doctest: +SKIP
        >>> report.findings["auroc"]  # doctest: +SKIP
    """
    if isinstance(ckpt, str) and re.match(r"[\w.]+=", ckpt) and not Path(ckpt).exists():
        raise ValueError(
            f"Expected a checkpoint as the first argument but got the override {ckpt!r}. Give it after the checkpoint, "
            "which is None with predictions=."
        )
    if not isinstance(ckpt, str | Path | None):
        raise ValueError(f"Expected the path of a checkpoint, 'latest' or None but got {ckpt!r}.")
    given = [*check_overrides(overrides), *search_path(config_dir)]
    if datamodule is not None and (unused := sorted({"data", "root", "predictions", *_LOADING} & set(settings))):
        raise ValueError(f"Expected no {', '.join(unused)} beside `datamodule`, which has its own. Leave them out.")
    if isinstance(settings.get("data"), str):
        given.append(f"data={settings.pop('data')}")
    named_root = [f"root={settings['root']}"] if settings.get("root") else []
    given = [text for text in without_data_node([*given, *named_root]) if text not in named_root]
    with all_problems_told("evaluate"):
        config = compose_settings("evaluate", given)
    with open_dict(config):
        config.paths.output_dir = _plain(output_dir)
        for name, value in settings.items():
            OmegaConf.update(config, name, _plain(value), force_add=True)
        if ckpt is not None:
            config.ckpt = str(ckpt)
    checked = read_evaluate_settings(config, [*given, *(f"{name}=" for name in settings)])
    if checked.devices != 1:
        raise ValueError(
            f"Expected `devices` to be 1 in Python but got {checked.devices}. Use the command: cxr evaluate."
        )
    with _kept_state():
        report: EvaluationReport = resolve_name(_RUN_EVALUATION)(checked, datamodule)
    return report


def compare(
    first: "str | Path | EvaluationReport",
    second: "str | Path | EvaluationReport",
    *,
    replicates: int = 2000,
    seed: int = 0,
) -> "ComparisonReport":
    """Compare two models' AUROC on the same images, as ``cxr compare`` does.

    Args:
        first: A predictions.csv of an evaluation, or its report.
        second: The other model's, of the same images.
        replicates: Number of replicates of the bootstrap over patients.
        seed: Seed of the bootstrap.

    Returns:
        Differences (second minus first) with paired intervals and corrected p-values.

    Raises:
        ValueError: If images, patients or targets differ.
        FileNotFoundError: If a file is not there.
    """
    report: ComparisonReport = resolve_name("cxr_lightning.report.comparison_report:compare_models")(
        first, second, replicates=replicates, seed=seed
    )
    return report


@contextmanager
def _kept_state() -> Iterator[None]:
    """Within the block, intended warnings are not shown; afterwards the caller's state is as before.

    Raises:
        RuntimeError: If a process of the work has died, with a remedy.
        KeyboardInterrupt: At Ctrl-C.
        Stopped: At another signal that nobody else handles.
    """
    lightning = logging.getLogger(_LIGHTNING_LOGGER)
    level, environment = lightning.level, {name: os.environ.get(name) for name in _SEED_VARIABLES}
    try:
        with warnings.catch_warnings(), resolve_name(_ISOLATE_RNG)(), stop_on_signals():
            resolve_name(_SILENCE)()
            yield
    except RuntimeError as error:
        raise explain_lost_process(error) from error
    except Stopped as stopped:
        if stopped.signum == signal.SIGINT:
            raise KeyboardInterrupt(str(stopped)) from stopped  # which a notebook expects
        raise
    finally:
        lightning.setLevel(level)
        for name, value in environment.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _plain(value: object) -> object:
    """A value as a configuration holds it."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(inner) for inner in value]
    return value
