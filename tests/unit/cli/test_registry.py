"""Verbs of trusted packages are verbs of cxr."""

from pathlib import Path

import pytest

from cxr_lightning.cli import registry
from cxr_lightning.cli.main import build_app, main
from cxr_lightning.cli.registry import register_verb, registered_verbs

PACKAGE = '''
"""A package with a verb."""

from cxr_lightning.cli.registry import register_verb


@register_verb
def greet(name: str, times: int = 1) -> int:
    """Greet somebody.

    As often as wanted.
    """
    print(f"hello {name} " * times)
    return 5
'''


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registered", {})


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a trusted package with a verb."""
    name = f"greeting_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(PACKAGE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("CXR_PLUGINS", name)
    return name


@pytest.mark.usefixtures("plugin")
def test_a_trusted_package_brings_a_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["greet", "you", "--times", "2"]) == 5
    assert capsys.readouterr().out == "hello you hello you \n"
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "greet        Greet somebody." in capsys.readouterr().out


@pytest.mark.usefixtures("plugin")
def test_without_trust_there_is_no_such_verb(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CXR_PLUGINS")
    with pytest.raises(SystemExit) as end:
        main(["greet", "you"])
    assert end.value.code == 2
    assert "No such command 'greet'" in capsys.readouterr().err


def test_a_package_that_is_not_there_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CXR_PLUGINS", "absent_package")
    assert main(["--help"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: Expected the trusted package's module 'absent_package' but it cannot be imported")


def test_names_are_used_once() -> None:
    def check() -> None:
        """Do something else."""

    def other() -> None:
        """Do something."""

    assert register_verb(other) is other
    assert registered_verbs() == (other,)
    with pytest.raises(ValueError, match="two have the name 'check'"):
        build_app([check])
    other_again = lambda: None  # noqa: E731
    other_again.__name__ = "other"
    with pytest.raises(ValueError, match="two have the name 'other'"):
        register_verb(other_again)
