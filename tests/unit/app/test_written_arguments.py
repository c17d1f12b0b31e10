"""What the sources say of arguments is what the imported classes say, wherever it is understood."""

import re
import typing
from pathlib import Path
from pkgutil import resolve_name

import pytest

from cxr_lightning.app.config_check import imported_arguments
from cxr_lightning.app.value_check import wrong_value
from cxr_lightning.app.written_arguments import is_written_subclass, written_arguments

CONF = Path(__file__).parents[3] / "conf"
TARGETS = sorted(
    {
        target
        for file in CONF.rglob("*.yaml")
        for target in re.findall(r"_target_: (\S+)", file.read_text())
        if "RememberFolder" not in target
    }
)
VALUES = (True, 1, -1.5, "x", "min", "error", None, [1], ["a"], {"a": 1})


@pytest.mark.parametrize("target", [*TARGETS, "torch.optim.RMSprop", "pytorch_lightning.callbacks.Timer"])
def test_written_arguments_are_those_of_the_imported_class(target: str) -> None:
    written = written_arguments(target)
    assert written is not None
    imported = imported_arguments(resolve_name(target))
    assert written.names == imported.names
    understood = {name: kind for name, kind in written.types.items() if kind is not typing.Any}
    assert understood
    for name in {*understood} & {*imported.types}:
        for value in VALUES:
            refused = [wrong_value("x", value, found.types[name]) is not None for found in (written, imported)]
            assert refused[0] == refused[1], (name, value)


def test_what_is_not_there_has_no_arguments() -> None:
    for target in ("absent.Thing", "torch.optim.Absent", "builtins.open", "os.system", "x", ""):
        assert written_arguments(target) is None


def test_a_subclass_is_known_by_its_source() -> None:
    assert is_written_subclass("cxr_lightning.training.callbacks.BestCheckpoint", "pytorch_lightning.Callback")
    assert not is_written_subclass("pytorch_lightning.callbacks.Timer", "torch.optim.Optimizer")
    assert not is_written_subclass("os.system", "torch.optim.Optimizer")
