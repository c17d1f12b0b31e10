"""A record is never destroyed: a run, a report or a sweep is not written where another one is."""

from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from cxr_lightning.app.hydra_folders import check_folder
from cxr_lightning.app.hydra_record import latest_record, run_settings_in
from cxr_lightning.app.run_identity import settings_of
from cxr_lightning.app.sweep_folder import holds_sweep, job_folders
from cxr_lightning.app.version_0_1 import refuse_run_of_0_1
from cxr_lightning.training.run_folder import OccupiedFolderError, folder_of_last_checkpoint, refuse_locked_folder
from cxr_lightning.training.run_settings import describe_differences, read_settings, refuse_other_settings
from cxr_lightning.utils.distributed import is_externally_launched, is_rank_zero
from cxr_lightning.utils.file_names import METRICS_TABLE, REPORT_FILES, RUN_FILES, START_FILES, SWEEP_FILES

_MAX_NAMED = 3


def output_folder(config: DictConfig, *, sweep: bool) -> Path | None:
    """The folder that a program is to write to; None where several processes have not agreed on one yet.

    Args:
        config: The composed configuration of a program, with Hydra's; of a sweep that of its first job.
        sweep: Whether it is a sweep.

    Raises:
        ValueError: If no folder can have that name.
    """
    if not is_rank_zero() or is_externally_launched():
        return None
    folder = str(config.hydra.sweep.dir if sweep else config.hydra.run.dir)
    check_folder("hydra.sweep.dir" if sweep else "hydra.run.dir", folder)
    return Path(folder).absolute()


def check_output_folder(config: DictConfig, *, sweep: bool) -> None:
    """Refuse the folder of a run, a report or a sweep in which another one is, before anything is written to it.

    Args:
        config: The composed configuration of a program, with Hydra's; of a sweep that of its first job.
        sweep: Whether it is a sweep.

    Raises:
        ValueError: If the folder holds something that would be replaced.
    """
    folder = output_folder(config, sweep=sweep)
    if folder is None:  # train.py checks it when all processes have agreed on one
        return
    if sweep:
        _check_sweep_folder(config, folder)
    else:
        check_job_folder(config, folder, sweep=False)


def check_job_folder(config: DictConfig, folder: Path, *, sweep: bool) -> None:
    """Refuse the folder of one job of a program, if another process works in it or it holds something else.

    Args:
        config: The composed configuration of the program.
        folder: The folder of its run or report.
        sweep: Whether it is a job of a sweep.

    Raises:
        OccupiedFolderError: If it is another's.
        ValueError: If version 0.1 began this run.
    """
    refuse_locked_folder(folder)
    if is_training(config):
        check_run_folder(config, folder, sweep=sweep)
    else:
        check_report_folder(folder, sweep=sweep)


def is_training(config: DictConfig) -> bool:
    """Whether a configuration is of train.py, not of evaluate.py."""
    return "trainer" in config


def check_run_folder(config: DictConfig, folder: Path, *, sweep: bool) -> None:
    """Refuse a folder that holds another run than the one that is to be resumed, or one of other settings.

    Args:
        config: ``conf/train.yaml``, composed.
        folder: The folder of the run.
        sweep: Whether it is a job of a sweep.

    Raises:
        OccupiedFolderError: If it does; the message names the settings that differ.
        ValueError: If version 0.1 began this run.
    """
    _refuse_report(folder, sweep=sweep, files=[name for name in REPORT_FILES if name != METRICS_TABLE])
    _refuse_sweep(folder, sweep=sweep)
    if config.resume == "auto":
        refuse_run_of_0_1(config, folder)
    if not (results := _found(folder, RUN_FILES)):
        _refuse_files(folder, sweep=sweep)
        return
    recorded, ckpt_path = run_settings_in(folder), config.ckpt_path
    if config.train and config.resume == "auto" and recorded is not None:
        if differences := describe_differences(recorded.compared, settings_of(config)):
            raise OccupiedFolderError(
                f"Expected a run of the same settings in '{folder}' to resume but these differ: "
                f"{', '.join(differences)}. Give {_another(sweep)}, or the same settings again."
            )
    elif config.train and ckpt_path and folder_of_last_checkpoint(str(ckpt_path)) == folder.absolute():
        if (own := read_settings(folder)) is not None:  # else the checkpoint itself is compared
            refuse_other_settings(own.compared, settings_of(config), ckpt_path)
    else:
        hint = "" if recorded is None else ", or go on with that run: its settings and resume=auto"
        raise OccupiedFolderError(f"{_holds_run(folder, results, sweep=sweep).removesuffix('.')}{hint}.")


def check_report_folder(folder: Path, *, sweep: bool) -> None:
    """Refuse a folder that holds another report, a run or a sweep.

    Args:
        folder: The folder of the report.
        sweep: Whether it is that of a job of a sweep.

    Raises:
        OccupiedFolderError: If it does.
    """
    _refuse_report(folder, sweep=sweep)
    _refuse_sweep(folder, sweep=sweep)
    if results := _found(folder, RUN_FILES):
        raise OccupiedFolderError(_holds_run(folder, results, sweep=sweep))
    _refuse_files(folder, sweep=sweep)


def report_in(folder: Path, files: Sequence[str] = REPORT_FILES) -> Path | None:
    """A file of an earlier report in a folder, which another one there would replace; None if there is none."""
    return next((folder / name for name in _found(folder, files)), None)


def _found(folder: Path, patterns: Sequence[str]) -> list[str]:
    """Names of files in a folder, as far as another run or report there would replace them."""
    return [str(path.relative_to(folder)) for pattern in patterns for path in sorted(folder.glob(pattern))]


def _refuse_report(folder: Path, *, sweep: bool, files: Sequence[str] = REPORT_FILES) -> None:
    if report := report_in(folder, files):
        raise OccupiedFolderError(
            f"Expected a new folder but there is a report in it, '{report}'. Give {_another(sweep)}."
        )


def _refuse_sweep(folder: Path, *, sweep: bool) -> None:
    if not sweep and holds_sweep(folder) and latest_record(folder) is None:
        raise OccupiedFolderError(
            f"Expected a new folder but '{folder}' holds a sweep, which is not replaced. Give {_another(sweep)}."
        )


def _refuse_files(folder: Path, *, sweep: bool) -> None:
    """Refuse files that a start leaves, in a folder in which Hydra has recorded none."""
    if latest_record(folder) is None and (files := _found(folder, START_FILES)):
        raise OccupiedFolderError(
            f"Expected a new folder but '{folder}' holds files of names that are written there "
            f"({_named(files)}), which are not replaced. Give {_another(sweep)}."
        )


def _holds_run(folder: Path, results: Sequence[str], *, sweep: bool) -> str:
    return (
        f"Expected a new folder but '{folder}' holds a run's files ({_named(results)}), which are not replaced. "
        f"Give {_another(sweep)}."
    )


def _named(files: Sequence[str]) -> str:
    return ", ".join([*files[:_MAX_NAMED], *(["..."] if len(files) > _MAX_NAMED else [])])


def _another(sweep: bool) -> str:
    """What to give instead of the folder that is refused."""
    return (
        "another hydra.sweep.subdir, of its own for each job, or hydra.sweep.dir" if sweep else "another hydra.run.dir"
    )


def _check_sweep_folder(config: DictConfig, folder: Path) -> None:
    """Refuse the folder of another sweep, unless that sweep or its search is to go on, and that of anything else."""
    files = _found(folder, (*RUN_FILES, *REPORT_FILES))
    jobs = job_folders(folder)
    if files or (not jobs and (files := _found(folder, SWEEP_FILES))):
        raise OccupiedFolderError(
            f"Expected a new folder but '{folder}' holds a run, a report or a leaderboard ({_named(files)}), which is "
            "not replaced. Give another hydra.sweep.dir."
        )
    is_kept_study = OmegaConf.select(config, "hydra.sweeper.storage") is not None
    if jobs and not is_kept_study and config.get("resume") != "auto":
        raise OccupiedFolderError(
            f"Expected a new folder but '{folder}' holds a sweep of {len(jobs)} jobs, which is not replaced. Give "
            "another hydra.sweep.dir, or go on with that sweep (train.py): its settings and resume=auto."
        )
