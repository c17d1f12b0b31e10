"""Files in the folder of a run or a sweep by which other people's folders could reach beyond them."""

from pathlib import Path

from cxr_lightning.app.hydra_logging import LOG_SUFFIX
from cxr_lightning.app.hydra_targets import JOB_FILES
from cxr_lightning.app.sweep_folder import job_folders
from cxr_lightning.utils.file_names import LOCK_FILE, REPORT_FILES, RUN_FILES, START_FILES, SWEEP_FILES

_FILES = tuple(name for name in (*RUN_FILES, *REPORT_FILES, *START_FILES, *SWEEP_FILES, LOCK_FILE) if "*" not in name)
"""Files that are written into the folder of a run, a report or a sweep."""


def refuse_planted_files(folder: Path, *, sweep: bool) -> None:
    """Refuse a folder with logs that are links, folders in the place of files, or files that are read as jobs' results.

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
        if (found := next((place / name for name in _FILES if (place / name).is_dir()), None)) is not None:
            raise ValueError(f"Expected a file, or none, as '{found}' but it is a folder. Delete or rename it.")
