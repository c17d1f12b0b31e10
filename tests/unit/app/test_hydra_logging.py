"""Log files are accepted in the run's own folder alone, on every system."""

from pathlib import PurePath, PurePosixPath, PureWindowsPath

import pytest

from cxr_lightning.app import hydra_logging
from cxr_lightning.app.hydra_folders import OUTPUT_FOLDER, RUN_FOLDER, SWEEP_FOLDER


@pytest.fixture(params=[PurePosixPath, PureWindowsPath])
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type[PurePath]:
    monkeypatch.setattr(hydra_logging, "PurePath", request.param)
    path: type[PurePath] = request.param
    return path


def check(filename: str) -> None:
    handlers = {"file": {"class": "logging.FileHandler", "filename": filename}}
    hydra_logging.check_logging("hydra.job_logging", {"version": 1, "handlers": handlers, "root": None})


def test_a_log_in_the_output_folder_is_accepted(system: type[PurePath]) -> None:
    check(f"{OUTPUT_FOLDER}/train.log")
    check(str(system(OUTPUT_FOLDER) / "train.log"))


@pytest.mark.parametrize(
    "name",
    [
        "train.log",
        f"{OUTPUT_FOLDER}/link/../x.log",
        f"{OUTPUT_FOLDER}/../x.log",
        f"{OUTPUT_FOLDER}/..",
        f"{OUTPUT_FOLDER}/sub/x.log",
        f"{OUTPUT_FOLDER}/x.txt",
        f"{RUN_FOLDER}/x.log",
        f"{SWEEP_FOLDER}/x.log",
    ],
    ids=range(8),  # the folders' stand-ins are drawn anew in each process
)
def test_other_files_are_refused(name: str, system: type[PurePath]) -> None:
    with pytest.raises(ValueError, match="own folder"):
        check(name)
