"""A record is never destroyed: a run, a report or a sweep is not written where another one is."""

from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from cxr_lightning.app.run_identity import settings_of
from cxr_lightning.app.version_0_1 import refuse_run_of_0_1
from cxr_lightning.training.run_folder import folder_of_last_checkpoint, results_in
from cxr_lightning.training.run_settings import describe_differences, read_settings, refuse_other_settings
from cxr_lightning.utils.distributed import is_externally_launched, is_rank_zero
from cxr_lightning.utils.file_names import REPORT_FILES

_JOBS = "*/.hydra/overrides.yaml"


def check_output_folder(config: DictConfig, name: str, *, sweep: bool) -> None:
    """Refuse the folder of a run, a report or a sweep in which another one is, before anything is written to it.

    Args:
        config: The composed configuration of a program, with Hydra's; of a sweep that of its first job.
        name: The program, ``train`` or ``evaluate``.
        sweep: Whether it is a sweep.

    Raises:
        ValueError: If the folder holds something that would be replaced.
    """
    if not is_rank_zero() or is_externally_launched():  # train.py checks it when all processes have agreed on one
        return
    if sweep:
        _check_sweep_folder(config, Path(str(config.hydra.sweep.dir)))
    elif name == "train":
        check_run_folder(config, Path(str(config.hydra.run.dir)))
    else:
        folder = Path(str(config.hydra.run.dir))
        _refuse_report(folder)
        if results := results_in(folder):
            raise ValueError(_holds_run(folder, results))


def check_run_folder(config: DictConfig, folder: Path) -> None:
    """Refuse a folder that holds another run than the one that is to be resumed, or one of other settings.

    Args:
        config: ``conf/train.yaml``, composed.
        folder: The folder of the run.

    Raises:
        ValueError: If it does; the message names the settings that differ.
    """
    _refuse_report(folder)
    ckpt_path = config.ckpt_path
    if config.resume == "auto":
        refuse_run_of_0_1(config, folder)
    if not (results := results_in(folder)):
        return
    recorded = read_settings(folder)
    if config.train and config.resume == "auto" and recorded is not None:
        if differences := describe_differences(recorded.compared, settings_of(config)):
            raise ValueError(
                f"Expected a run of the same settings in '{folder}' to resume but these differ: "
                f"{', '.join(differences)}. Give another folder, or the same settings again."
            )
    elif config.train and ckpt_path and folder_of_last_checkpoint(str(ckpt_path)) == folder.absolute():
        if recorded is not None:  # else the checkpoint itself is compared
            refuse_other_settings(recorded.compared, settings_of(config), ckpt_path)
    else:
        raise ValueError(
            f"{_holds_run(folder, results).removesuffix('.')}, or go on with that run: its settings and resume=auto."
        )


def _refuse_report(folder: Path) -> None:
    if report := report_in(folder):
        raise ValueError(f"Expected a new folder but there is a report in it, '{report}'. Give another hydra.run.dir.")


def _holds_run(folder: Path, results: list[str]) -> str:
    return (
        f"Expected a new folder but '{folder}' holds a run ({', '.join(results[:3])}), which is not replaced. Give "
        "another hydra.run.dir."
    )


def report_in(folder: Path) -> Path | None:
    """A file of an earlier report in a folder, which another one there would replace; None if there is none."""
    return next((folder / name for name in REPORT_FILES if (folder / name).exists()), None)


def _check_sweep_folder(config: DictConfig, folder: Path) -> None:
    """Refuse the folder of another sweep, unless that sweep or its search is to go on."""
    jobs = sorted(path.parents[1].name for path in folder.glob(_JOBS))
    is_kept_study = OmegaConf.select(config, "hydra.sweeper.storage") is not None
    if jobs and not is_kept_study and config.get("resume") != "auto":
        raise ValueError(
            f"Expected a new folder but '{folder}' holds a sweep of {len(jobs)} jobs, which is not replaced. Give "
            "another hydra.sweep.dir, or go on with that sweep (train.py): its settings and resume=auto."
        )
