"""The command to go on with is that of the program which runs."""

import sys
from pathlib import Path

import pytest

from cxr_lightning.app import train
from cxr_lightning.app.next_command import evaluate_command

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("program", "uv", "found", "command"),
    [
        ("train.py", "", True, "python evaluate.py"),
        (str(ROOT / "train.py"), "", True, f"python {ROOT / 'evaluate.py'}"),
        ("train.py", "1", True, "uv run evaluate.py"),
        ("train.py", "", False, f"{sys.executable} evaluate.py"),
        (str(train.__file__), "", True, "cxr evaluate"),
        (str(train.__file__), "1", True, "uv run cxr evaluate"),
        (str(train.__file__), "", False, f"{sys.executable} -m cxr_lightning evaluate"),
        ("/usr/bin/cxr", "", True, "cxr evaluate"),
    ],
)
def test_the_command_is_of_the_same_kind(
    monkeypatch: pytest.MonkeyPatch, program: str, uv: str, found: bool, command: str
) -> None:
    beside = Path(sys.executable).parent
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", [program, "-m", "seed=1,2"])
    monkeypatch.setattr("shutil.which", lambda name: str(beside / name) if found else None)
    monkeypatch.setenv("UV_RUN_RECURSION_DEPTH", uv)
    assert evaluate_command(str(ROOT / "logs/best.ckpt")) == f"{command} ckpt=logs/best.ckpt"
