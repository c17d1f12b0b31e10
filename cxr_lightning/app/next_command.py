"""The command with which a user goes on after a training, to be copied from the terminal."""

import os
import shlex
import shutil
import sys
from pathlib import Path

from cxr_lightning.utils.command_line import pasteable_override

_TRAIN, _EVALUATE = "train.py", "evaluate.py"
_VERB_PROGRAM = Path(__file__).with_name(_TRAIN)
"""The program as Lightning starts it for ``cxr train``."""
_UV_VARIABLE = "UV_RUN_RECURSION_DEPTH"
"""Set by ``uv run``."""


def evaluate_command(checkpoint: str) -> str:
    """The command that evaluates a checkpoint, of the same kind as the one that runs now: a script, or a verb of cxr.

    Args:
        checkpoint: Path of the checkpoint.
    """
    path, here = Path(checkpoint), Path.cwd()
    value = str(path.relative_to(here) if path.is_relative_to(here) else path)
    return f"{_evaluate_program()} {pasteable_override('ckpt', value)}"


def _evaluate_program() -> str:
    script = Path(sys.argv[0])
    sibling = script.with_name(_EVALUATE)
    if script.name == _TRAIN and sibling.is_file() and script.resolve() != _VERB_PROGRAM.resolve():
        return f"{_installed('python')} {shlex.quote(str(sibling))}"
    return f"{_installed('cxr')} evaluate"


def _installed(name: str) -> str:
    """A program of the environment that runs now, by its name if the shell finds it, else through its interpreter."""
    if os.environ.get(_UV_VARIABLE):
        return "uv run" if name == "python" else f"uv run {name}"
    found = shutil.which(name)
    if found is not None and Path(found).parent.samefile(Path(sys.executable).parent):
        return name
    interpreter = shlex.quote(sys.executable)
    return interpreter if name == "python" else f"{interpreter} -m cxr_lightning"
