"""Files in the folder of a run or a sweep by which other people's folders could reach beyond them."""

from pathlib import Path

from cxr_lightning.app.hydra_logging import LOG_SUFFIX
from cxr_lightning.app.hydra_targets import JOB_FILES
from cxr_lightning.app.sweep_folder import job_folders


def refuse_planted_files(folder: Path, *, sweep: bool) -> None:
    """Refuse a folder with logs that are links, or with files that would be read as the results of jobs.

    Args:
        folder: The folder of a run or of a sweep, if it is there already.
        sweep: Whether it is that of a sweep.

    Raises:
        ValueError: If it holds such a file.
    """
    if sweep and (folder / JOB_FILES).is_symlink() | (folder / JOB_FILES).exists():
        raise ValueError(
            f"Expected no files of earlier jobs in '{folder / JOB_FILES}', which would be read as results, but there "
            "are. Delete that folder when its jobs have ended."
        )
    for place in (folder, *(job_folders(folder) if sweep else ())):
        logs = place.glob(f"*{LOG_SUFFIX}")
        if (wrong := next((path for path in logs if path.is_symlink() or not path.is_file()), None)) is not None:
            raise ValueError(f"Expected files in '{place}' to log into but '{wrong}' is a link or no file. Delete it.")
