"""The command to go on with is that of the program which runs, and can be pasted."""

import shlex
import sys
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from cxr_lightning.app import train
from cxr_lightning.app.next_command import evaluate_command, quoted_override

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


@pytest.mark.parametrize(
    "value",
    ["a/b-c_1.ckpt", "a b", "it's", 'say "so"', "a=b", "a,b", "[1]", "{x:1}", "\\a\\", 'b\\"', "~x", "ü", "(a)", "#1"],
)
def test_a_quoted_setting_comes_back_through_the_shell_and_hydra(value: str) -> None:
    (word,) = shlex.split(quoted_override("ckpt", value))
    override = OverridesParser.create().parse_override(word)
    assert (override.key_or_group, str(override.value())) == ("ckpt", value)
    assert not override.is_sweep_override()
