"""Start of train.py and evaluate.py, and their exit after a user's mistake."""

import logging
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from pkgutil import resolve_name
from typing import Literal, NoReturn

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from cxr_lightning.app.all_problems import all_problems_told
from cxr_lightning.app.config_loader import checked_loader
from cxr_lightning.app.data_root import without_data_node
from cxr_lightning.app.errors import one_line, shown_error
from cxr_lightning.app.folders import explain_folder_error
from cxr_lightning.app.hydra_check import absolute_config_path, check_hydra
from cxr_lightning.app.hydra_parser import unchecked_help_texts
from cxr_lightning.app.job_processes import job_processes
from cxr_lightning.app.monitor_check import check_direction
from cxr_lightning.app.output_folder import check_job_folder, check_output_folder, output_folder
from cxr_lightning.app.planted_files import refuse_planted_files
from cxr_lightning.app.resolvers import register_resolvers
from cxr_lightning.app.sweep import clear_failure, finish_sweep, forget_sweep, unfinished_sweep, write_failure
from cxr_lightning.training.run_folder import OccupiedFolderError, last_checkpoint
from cxr_lightning.utils.command_line import pasteable_override
from cxr_lightning.utils.distributed import is_rank_zero
from cxr_lightning.utils.log_records import are_logs_plain, keep_logs_plain
from cxr_lightning.utils.output import output_may_end
from cxr_lightning.utils.signals import Stopped, raise_if_stopped, stop_on_signals
from cxr_lightning.utils.terminal import say_error
from cxr_lightning.utils.unexpected import shows_tracebacks

_EXIT_FAILED = 1

_IGNORED_WARNINGS = (
    # The number of workers is chosen from the machine's cores on purpose.
    r".*does not have many workers.*",
    # A resumed run goes on in its folder.
    r".*Checkpoint directory .* exists and is not empty.*",
    # A subset's epoch may be shorter than the logging interval.
    r".*The number of training batches .* is smaller than the logging interval.*",
    # A frozen backbone is in evaluation mode on purpose.
    r".*module\(s\) in eval mode.*",
    # Lightning's own callbacks: batch normalizations are trained from the start; the schedule is replaced on purpose;
    # a test does not restore averages; the size of a model is that of its weights, which are float32.
    r".*The provided params to be frozen already exist.*",
    r".*SWA is currently only supported every epoch.*",
    r".*Precision .* is not supported by the model summary.*",
    # The mean AUROC is computed from the images of all devices, on each of them.
    r".*when logging on epoch level in distributed setting.*",
    # torch's own call of its own deprecated name, inside Lightning.
    r".*isinstance\(treespec, LeafSpec\).*",
    # captum imports tqdm's bars, which are not used here; in a notebook they warn that ipywidgets is missing.
    r".*IProgress not found.*",
)


def run_program(main: Callable[[], object], conf: Path, name: str) -> None:
    """Run a Hydra program; a user's mistake ends in one line and exit code 1, not in a traceback.

    Args:
        main: A function decorated with ``hydra.main``.
        conf: The folder of its configuration.
        name: Name of the file in it.

    Raises:
        Stopped: At a signal; the interpreter then exits with its status, such as 143.
    """
    register_resolvers()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # makes Hydra raise its exceptions instead of printing them
    if not sys.stderr.isatty():
        os.environ.setdefault("TQDM_DISABLE", "1")  # bars of libraries, which a file should not hold
    keep_logs_plain()
    logging.raiseExceptions = False  # a log that cannot be written, as on a full disk, shows no traceback
    with output_may_end("stdout", "stderr"):
        try:
            with stop_on_signals():
                if (failure := _run(main, conf, name)) is not None:
                    _exit(failure)
        except Stopped as stopped:
            _say_stopped(stopped)
            raise


def run_as_verb(name: Literal["train", "evaluate"], arguments: Sequence[str]) -> int:
    """Run a Hydra program within the ``cxr`` command.

    Args:
        name: The program.
        arguments: Its command line.

    Returns:
        Its exit status.
    """
    module = f"cxr_lightning.app.{name}"
    before = sys.argv
    # Lightning starts further processes of a run with the script and the arguments that are named here.
    sys.argv = [str(import_module(module).__file__), *arguments]
    try:
        resolve_name(f"{module}:run_{name}")()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        sys.argv = before
    return 0


def _run(main: Callable[[], object], conf: Path, name: str) -> BaseException | None:
    """Run the program, and show the leaderboard of a sweep; returns the error of a user's mistake."""
    failure: BaseException | None = None
    folder: Path | None = None
    forget_sweep()
    try:
        sys.argv[1:] = absolute_config_path(sys.argv[1:])
        if name == "evaluate":
            sys.argv[1:] = without_data_node(sys.argv[1:])
        with all_problems_told(name):
            job = check_hydra(conf, name, sys.argv[1:])
        if job is not None:
            if job.sweep:
                check_direction(job.config)
            folder = output_folder(job.config, sweep=job.sweep)
            check_output_folder(job.config, sweep=job.sweep)
            if folder is not None:
                refuse_planted_files(folder, sweep=job.sweep)
        with unchecked_help_texts(), checked_loader():
            main()
    except Exception as error:
        raise_if_stopped(error)
        failure = explain_folder_error(shown_error(error), folder=folder)
    raise_if_stopped(failure)
    try:
        finish_sweep()
    except FileNotFoundError as error:  # the sweep has no job
        failure = failure or error
    except Exception as error:  # it reports all failed jobs, not only the first one
        failure = explain_folder_error(shown_error(error))
    return failure


def run_job(job: str, config: DictConfig) -> float | None:
    """Run one job; on a user's mistake exit before Hydra prints more, except in a sweep.

    Args:
        job: Name of the job, such as ``cxr_lightning.app.train_program:run_train_program``; imported here, so that
            ``--help`` is quick.
        config: The job's configuration.

    Raises:
        Stopped: If a signal was received, also before, so that no further job of a sweep begins.
    """
    raise_if_stopped()
    keep_logs_plain()  # in the process of a launcher too
    folder = Path(HydraConfig.get().runtime.output_dir)
    try:
        return _run_job(job, config, folder)
    except Stopped as stopped:
        if not stopped.saved and (last := last_checkpoint(folder)) is not None:  # it was ended before it could save
            stopped.saved = str(last)
        raise


def _run_job(job: str, config: DictConfig, folder: Path) -> float | None:
    sweep = HydraConfig.get().mode == RunMode.MULTIRUN
    try:
        if sweep and is_rank_zero():
            check_job_folder(config, folder, sweep=True)
            clear_failure()
        with job_processes(config):
            result: float | None = resolve_name(job)(config)
            raise_if_stopped()
            return result
    except Exception as error:
        raise_if_stopped(error)
        shown = explain_folder_error(shown_error(error, folder), config)
        if sweep:
            write_failure(one_line(shown), has_folder=not isinstance(error, OccupiedFolderError))
            raise shown from (error.__cause__ if shown is error else error)
        _exit(shown)


def _say_stopped(stopped: Stopped) -> None:
    if isinstance(stopped.__cause__, Exception):
        say_error(f"error: {one_line(stopped.__cause__)}")
    hint = ""
    if (folder := unfinished_sweep()) is not None:
        hint = f"; go on with the same settings, resume=auto and {pasteable_override('hydra.sweep.dir', folder)}"
    elif stopped.saved:
        checkpoint = pasteable_override("ckpt_path", stopped.saved)
        hint = f"; go on with the same settings and either resume=auto or {checkpoint}"
    say_error(f"{stopped}{hint}")


def _exit(error: BaseException) -> NoReturn:
    if shows_tracebacks():
        raise error
    say_error(f"error: {one_line(error)}")
    sys.exit(_EXIT_FAILED)


def ignore_intended_warnings() -> None:
    """Ignore libraries' warnings about what is intended here, and silence all processes but rank zero."""
    if are_logs_plain():
        keep_logs_plain()  # Lightning has just set a format of its own
    for message in _IGNORED_WARNINGS:
        warnings.filterwarnings("ignore", message=message)
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    if not is_rank_zero():
        logging.getLogger().setLevel(logging.WARNING)
