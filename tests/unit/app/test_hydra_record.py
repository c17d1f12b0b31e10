"""Records of runs that other people left are read within bounds."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cxr_lightning.app.hydra_record import is_of_sweep, read_overrides, run_settings_in


def written(text: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(text)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (written("a: 1\n"), "KEY=VALUE"),
        (written("- {a: 1}\n"), "KEY=VALUE"),
        (written("text\n"), "one value"),
        (written("- &a [*a]\n"), "within itself"),
        (written("- !!python/name:os.system x\n"), "tag"),
        (written("- 'a\n"), "line"),
        (written("- " + "x " * 200_000), "bytes"),
        (os.mkfifo, "regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "regular file"),
    ],
)
def test_overrides_are_a_list_of_texts(make: Callable[[Path], object], words: str, tmp_path: Path) -> None:
    make(tmp_path / "overrides.yaml")
    with pytest.raises(ValueError, match=rf"^Expected .*{words}"):
        read_overrides(tmp_path)


def test_overrides_are_read(tmp_path: Path) -> None:
    (tmp_path / "overrides.yaml").write_text("- seed=1\n- a.b='x y'\n")
    assert read_overrides(tmp_path) == ["seed=1", "a.b='x y'"]
    (tmp_path / "overrides.yaml").write_text("[]\n")
    assert read_overrides(tmp_path) == []


def test_a_damaged_record_says_nothing(tmp_path: Path) -> None:
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra/overrides.yaml").write_text("[]\n")
    os.mkfifo(tmp_path / ".hydra/config.yaml")
    os.mkfifo(tmp_path / ".hydra/hydra.yaml")
    assert run_settings_in(tmp_path) is None
    assert not is_of_sweep(tmp_path / ".hydra")
