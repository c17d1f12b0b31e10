"""The stages of .ci: what they keep between runs, and how they divide the tests."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STAGES = sorted(path for path in (ROOT / ".ci").iterdir() if path.suffix != ".py")


def write_stub(path: Path, content: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/usr/bin/env bash\n{content}\n")
    path.chmod(0o755)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose environments are empty folders that no other may be in the way of."""
    shutil.copytree(ROOT / ".ci", tmp_path / ".ci")
    (tmp_path / "pyproject.toml").write_text("numpy>=2.0")
    write_stub(tmp_path / ".ci" / "venv", 'mkdir "$1" && echo made >> made.log')
    write_stub(tmp_path / "bin" / "uv", "exit ${UV_STATUS:-0}")
    return tmp_path


def environments_made(project: Path, status: int = 0) -> int:
    """How many environments there have been after another start, whose installation ends with a status."""
    environment = {**os.environ, "PATH": f"{project / 'bin'}:{os.environ['PATH']}", "UV_STATUS": str(status)}
    ended = subprocess.run([project / ".ci" / "lowest_environment", "lowest"], env=environment, check=False)
    assert ended.returncode == status
    return (project / "made.log").read_text().count("made")


def test_the_environment_of_the_lowest_versions_is_made_again_when_these_change(project: Path) -> None:
    assert environments_made(project) == 1
    assert environments_made(project) == 1
    (project / "pyproject.toml").write_text("numpy>=2.1")
    assert environments_made(project) == 2
    assert environments_made(project) == 2
    with (project / ".ci" / "lowest_environment").open("a") as script:
        script.write("# with another extra\n")
    assert environments_made(project) == 3


def test_a_half_made_environment_is_not_in_the_way(project: Path) -> None:
    assert environments_made(project, status=2) == 1
    assert environments_made(project) == 2
    (project / "pyproject.toml").write_text("numpy>=2.2")
    assert environments_made(project, status=1) == 3
    assert environments_made(project) == 4
    assert environments_made(project) == 4


@pytest.mark.parametrize("stage", STAGES, ids=lambda path: path.name)
def test_a_stage_chooses_tests_by_registered_markers_not_by_their_names(stage: Path) -> None:
    markers = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]["markers"]
    registered = {marker.partition(":")[0] for marker in markers}
    for command in re.findall(r"pytest (.*(?:\\\n.*)*)", stage.read_text()):
        assert not re.search(r"(^|\s)-k\b", command)
        chosen = " ".join(re.findall(r'-m ("[^"]+"|\w+)', command))
        assert set(re.findall(r"\w+", chosen)) - {"and", "or", "not"} <= registered
