"""Versions: what was tested lies within what is allowed, and what is under the GPL is in an extra that says so."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]
TESTED = [
    Requirement(line)
    for line in (ROOT / "requirements-tested.txt").read_text().splitlines()
    if not line.startswith("#")
]


def allowed() -> list[Requirement]:
    """All that is asked for, also by extras and for development."""
    lists = [PROJECT["project"]["dependencies"], *EXTRAS.values(), PROJECT["dependency-groups"]["dev"]]
    return [Requirement(text) for requirements in lists for text in requirements]


@pytest.mark.parametrize("requirement", allowed(), ids=str)
def test_the_tested_version_is_allowed(requirement: Requirement) -> None:
    name = canonicalize_name(requirement.name)
    pins = [str(pin.specifier).removeprefix("==") for pin in TESTED if canonicalize_name(pin.name) == name]
    assert pins  # several where they depend on the version of Python
    assert all(requirement.specifier.contains(pin) for pin in pins)


@pytest.mark.parametrize("requirement", allowed(), ids=str)
def test_every_package_has_a_lowest_version(requirement: Requirement) -> None:
    assert ">=" in str(requirement.specifier)  # `<2` alone can be met by a version of 2005


def test_every_tested_version_is_exact_and_names_no_registry() -> None:
    assert all(re.fullmatch(r"==[^,*]+", str(pin.specifier)) for pin in TESTED)
    assert "://" not in (ROOT / "requirements-tested.txt").read_text()


def test_the_gpl_is_in_one_extra_alone() -> None:
    gpl = {"libjpeg"}  # pylibjpeg's extra, which is pylibjpeg-libjpeg
    of_extras = {
        name: {extra for text in texts for extra in Requirement(text).extras} for name, texts in EXTRAS.items()
    }
    assert {name for name, found in of_extras.items() if found & (gpl | {"all"})} == {"dicom-gpl"}
    assert of_extras["dicom"] | gpl == of_extras["dicom-gpl"]
    assert not any(requirement.name == "pylibjpeg-libjpeg" for requirement in allowed())


def test_the_bounds_of_an_installation_without_torch_are_those_of_the_project() -> None:
    served = [
        Requirement(line)
        for line in (ROOT / "requirements-serve.txt").read_text().splitlines()
        if not line.startswith("#")
    ]
    assert served
    assert {str(requirement) for requirement in served} <= {str(requirement) for requirement in allowed()}
