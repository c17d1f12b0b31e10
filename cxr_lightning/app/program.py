"""How train.py and evaluate.py start, and how they end when the user is mistaken."""

import logging
import os
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from cxr_lightning.app.errors import USER_ERRORS, one_line, understood
from cxr_lightning.app.hydra_check import check_hydra
from cxr_lightning.app.job_processes import own_processes
from cxr_lightning.app.resolvers import register_resolvers
from cxr_lightning.app.sweep import end_of_sweep, forget_sweep, note_failure, note_start
from cxr_lightning.utils.distributed import is_first_process
from cxr_lightning.utils.signals import Stopped, stopping_at_once

FAILED = 1

_QUIET = (
    # We choose the number of workers from the machine; one less than its cores is meant.
    r".*does not have many workers.*",
    # A resumed run goes on in its own folder.
    r".*Checkpoint directory .* exists and is not empty.*",
    # A subset's epoch may be shorter than the logging interval.
    r".*The number of training batches .* is smaller than the logging interval.*",
    # A frozen backbone is meant to be in evaluation mode.
    r".*module\(s\) in eval mode.*",
    # The mean AUROC is computed of all devices' images, on each of them.
    r".*when logging on epoch level in distributed setting.*",
    # torch's own call of its own deprecated name, inside Lightning.
    r".*isinstance\(treespec, LeafSpec\).*",
)


def run_program(main: Callable[[], object], conf: Path, name: str) -> None:
    """Run a Hydra program; a user's mistake ends in one line and exit code 1, not in a traceback.

    Args:
        main: A function decorated with ``hydra.main``.
        conf: The folder of its configuration.
        name: Of the file in it.

    Raises:
        Stopped: At a signal; the interpreter then exits with its status, 143 or 130.
    """
    register_resolvers()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # lets Hydra hand us its exceptions instead of printing them
    try:
        with stopping_at_once():
            failure = _run(main, conf, name)
    except Stopped as stopped:
        how = f"; go on with resume=auto and the same settings, or 'ckpt_path={stopped.saved}'" if stopped.saved else ""
        print(f"{stopped}{how}", file=sys.stderr)
        raise
    if failure is not None:
        _exit(failure)


def _run(main: Callable[[], object], conf: Path, name: str) -> BaseException | None:
    """What went wrong by a user's mistake, after the leaderboard if it was a sweep."""
    failure: BaseException | None = None
    forget_sweep()
    try:
        check_hydra(conf, name, sys.argv[1:])
        main()
    except USER_ERRORS as error:
        failure = error
    except Exception:
        with suppress(*USER_ERRORS):
            end_of_sweep()
        raise
    try:
        end_of_sweep()
    except FileNotFoundError as error:  # it never had a job
        failure = failure or error
    except USER_ERRORS as error:  # it says more than the first job that failed
        failure = error
    return failure


def run_job(job: Callable[[DictConfig], float | None], config: DictConfig) -> float | None:
    """Run one job; on a user's mistake exit before Hydra adds lines of its own, except in a sweep.

    Args:
        job: Such as :func:`train`.
        config: Its configuration.
    """
    sweep = HydraConfig.get().mode == RunMode.MULTIRUN
    if sweep:
        note_start()
    try:
        with own_processes(config):
            return job(config)
    except Exception as error:
        fault = understood(error)
        if sweep:
            note_failure(one_line(fault))
        if sweep or not isinstance(fault, USER_ERRORS):
            raise fault from error.__cause__
        _exit(fault)


def _exit(error: BaseException) -> NoReturn:
    if os.environ.get("CXR_TRACEBACK") == "1":
        raise error
    print(f"error: {one_line(error)}", file=sys.stderr)
    sys.exit(FAILED)


def silence() -> None:
    """Keep from the user what libraries say about things that are meant to be as they are."""
    for message in _QUIET:
        warnings.filterwarnings("ignore", message=message)
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    if not is_first_process():  # it says what there is to say
        logging.getLogger().setLevel(logging.WARNING)
