"""The cxr command."""

from pathlib import Path

import pytest

from cxr_lightning.cli import main
from cxr_lightning.data.cache import ImageMap
from cxr_lightning.data.datamodule import ChestXRayDataModule
from cxr_lightning.data.datasets.nih import NIHLayout

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


def test_prepare_makes_what_training_then_finds(
    nih_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["prepare", str(nih_folder), "--image-size", "32", "--cache-dir", str(tmp_path / "cache")]
    assert main(arguments) == 0
    assert "32 images of 32 px in " in capsys.readouterr().out
    datamodule = ChestXRayDataModule(
        str(nih_folder), NIHLayout(), image_size=32, cache=True, cache_dir=str(tmp_path / "cache/images")
    )
    (index,) = tmp_path.glob("cache/images/*/index.jsonl")
    before = index.read_bytes()
    datamodule.setup()
    assert isinstance(datamodule.dataset("train").images, ImageMap)
    assert index.read_bytes() == before
    assert main([*arguments, "--verify"]) == 0
    assert "0 prepared now" in capsys.readouterr().out


def test_prepare_reads_any_csv_and_lists_what_cannot_be_used(
    nih_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = sorted((nih_folder / "images").iterdir())[:4]
    images[2].write_bytes(b"")
    names = [f"images/{path.name}" for path in images]
    (nih_folder / "mine.csv").write_text("\n".join(["path", *names, "images/absent.png"]) + "\n")
    arguments = ["prepare", str(nih_folder), "--cache-dir", str(tmp_path), "--layout", "csv", "--file", "mine.csv"]
    arguments += ["--image-column", "path", "--interpolation", "nearest"]
    assert main(arguments) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert names[2] in line
    assert main([*arguments, "--on-bad-image", "skip"]) == 0
    words = capsys.readouterr().out
    assert "3 images of 224 px" in words
    assert "1 are listed but not on disk" in words
    assert "1 cannot be used: see rejected.csv there" in words
    (listed,) = tmp_path.glob("images/*/rejected.csv")
    assert names[2] in listed.read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["absent"], "'absent'"),
        (["{root}", "--image-size", "0"], "--image-size"),
        (["{root}", "--file", "x.csv"], "--layout csv beside --file"),
        (["{root}", "--workers", "0"], "worker processes"),
        (["{root}", "--layout", "csv"], "labels.csv"),
        (["{root}", "--cache-dir", "{root}/Data_Entry_2017_v2020.csv"], "paths.cache_dir"),
    ],
)
def test_prepare_refuses_in_one_line(
    arguments: list[str], words: str, nih_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [argument.format(root=nih_folder) for argument in arguments]
    folder = [] if "--cache-dir" in given else ["--cache-dir", str(tmp_path / "cache")]
    assert main(["prepare", *given, *folder]) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert words in line


def test_version_names_what_can_change_a_number(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["--version"])
    assert exit_.value.code == 0
    assert "torch " in capsys.readouterr().out


def test_ctrl_c_ends_without_a_traceback(
    nih_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cxr_lightning.data.cache.missing_images.decode_images", interrupt)
    assert main(["prepare", str(nih_folder), "--cache-dir", str(tmp_path)]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "interrupted"
