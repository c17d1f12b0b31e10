"""The cxr command."""

from pathlib import Path

import pytest

from cxr_lightning.cli import main

SMALL = ["--train-images", "60", "--val-images", "20", "--test-images", "40", "--image-size", "64", "--seed", "3"]


def test_phantom_makes_a_set_and_names_its_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["phantom", str(tmp_path), *SMALL]) == 0
    folder = Path(capsys.readouterr().out.strip().splitlines()[-1])
    assert folder == tmp_path / "phantom-v1-seed3-60-20-40-64px"
    assert len(list((folder / "images").glob("*.png"))) == 120


def test_a_wrong_size_is_one_line_and_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["phantom", str(tmp_path / "x"), "--image-size", "8"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert "image_size" in line
    assert not (tmp_path / "x").exists()


def test_version_names_what_can_change_a_number(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["--version"])
    assert exit_.value.code == 0
    assert "torch " in capsys.readouterr().out
