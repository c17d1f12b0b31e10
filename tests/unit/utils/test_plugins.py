"""A package is trusted through the environment or an entry point, and through nothing else."""

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from cxr_lightning.utils import plugins
from cxr_lightning.utils.plugins import (
    how_to_trust,
    import_trusted,
    installed_plugins,
    load_plugins,
    trusted_packages,
)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a package that can be imported; nobody trusts it."""
    name = f"somebodys_{tmp_path.name.replace('-', '_')}"
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text("IMPORTED = True\n")
    (tmp_path / name / "parts.py").write_text("class Part:\n    pass\n")
    (tmp_path / name / "broken.py").write_text("raise AttributeError('no such thing')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv("CXR_PLUGINS", raising=False)
    return name


def test_nothing_is_trusted_by_default(package: str) -> None:
    assert trusted_packages() == ()
    with pytest.raises(ValueError, match=f"trusted package in a setting but got '{package}.parts.Part'") as caught:
        import_trusted(f"{package}.parts.Part", "a setting")
    assert f"CXR_PLUGINS={package} in the environment" in str(caught.value)
    assert "cxr_lightning.plugins" in str(caught.value)
    assert package not in sys.modules  # it was not even imported


def test_the_environment_names_packages(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXR_PLUGINS", f" {package} , other,,{package}")
    assert trusted_packages() == (package, "other")
    part = import_trusted(f"{package}.parts.Part", "a setting")
    assert isinstance(part, type)
    assert part.__name__ == "Part"


def test_an_installed_package_names_itself_by_an_entry_point(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def installed(*, group: str) -> list[EntryPoint]:
        assert group == "cxr_lightning.plugins"
        return [EntryPoint("any name", package, group), EntryPoint("x", f"{package}.parts:Part", group)]

    monkeypatch.setattr(plugins, "entry_points", installed)
    installed_plugins.cache_clear()
    try:
        assert trusted_packages() == (package, f"{package}.parts")
        load_plugins()
        assert sys.modules[package].IMPORTED
    finally:
        installed_plugins.cache_clear()


def test_a_part_of_a_package_may_be_trusted_alone(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXR_PLUGINS", f"{package}.parts")
    import_trusted(f"{package}.parts.Part", "a setting")
    with pytest.raises(ValueError, match="trusted package"):
        import_trusted(f"{package}.broken.Part", "a setting")


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("parts.Absent", ValueError, "has no 'Absent'"),
        ("_private.Part", ValueError, "public name in a setting"),
        ("__main__.Part", ValueError, "public name in a setting"),
        ("absent.Part", ImportError, "absent' but it cannot be imported"),
        ("broken.Part", ImportError, r"broken' to be imported but it fails \(AttributeError: no such thing\)"),
    ],
)
def test_what_cannot_be_imported_is_named(
    name: str, error: type[Exception], message: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXR_PLUGINS", package)
    with pytest.raises(error, match=message):
        import_trusted(f"{package}.{name}", "a setting")


@pytest.mark.parametrize(
    "name", ["os.system", "torch.load", "pytorch_lightning.cli.instantiate_class", "", "not a name"]
)
def test_nobody_is_advised_to_trust_the_standard_library(name: str) -> None:
    assert "CXR_PLUGINS=my_package" in how_to_trust(name)
