"""Data that cannot be used as they are, as a user meets them: one message, and its remedy pasted in works."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import SMALL, Run, assert_one_error_line, summary_of

EPOCH = "trainer.max_epochs=1"


def remedy_of(message: str) -> list[str]:
    """The settings after the last ``set`` of a message, as a shell splits them."""
    (settings,) = re.findall(
        r"(?:Set|then set|or set) ((?:'[^']+'|[\w.]+=\S+)(?: (?:'[^']+'|[\w.]+=[^\s.]+\S*))*)", message
    )
    return shlex.split(settings.rstrip("."))


def leak(root: Path) -> None:
    """The second image of the last test patient goes to the training list."""
    names = (root / "test_list.txt").read_text().split()
    (root / "test_list.txt").write_text("\n".join(names[:-1]) + "\n")
    (root / "train_val_list.txt").write_text((root / "train_val_list.txt").read_text() + names[-1] + "\n")


def error_of(run: Run, capsys: pytest.CaptureFixture[str], *overrides: str) -> str:
    capsys.readouterr()
    code, _ = run(*overrides)
    assert code == 1
    error = capsys.readouterr().err
    return next(line for line in error.splitlines() if line.startswith("error: "))


@pytest.mark.parametrize("cache", ["true", "false"])
def test_leaked_missing_and_unreadable_images_are_in_one_message_and_its_remedy_works(
    cache: str, run: Run, make_nih: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_nih(tmp_path / "nih", patients=24)
    leak(root)
    (root / "images" / "00000002_001.png").write_bytes(b"")
    for image in ("00000003_000.png", "00000024_000.png"):
        (root / "images" / image).unlink()
    settings = [*SMALL, f"data.root={root}", EPOCH, f"data.cache={cache}"]
    error = error_of(run, capsys, *settings)
    assert "(1) 1 patients have images in more than one split: 24" in error
    assert "(2) 2 of 47 images in the label file are not on disk: 00000003_000.png, 00000024_000.png" in error
    assert f"(3) 1 of 45 images cannot be read: '{root}/images/00000002_001.png': the file is empty" in error
    code, folder = run(*settings, *remedy_of(error))
    assert code == 0
    data = summary_of(folder)["data"]
    assert (data["leaked"], data["skipped"], data["rejected"]) == (1, 2, 1)


def test_a_remedy_is_another_division_where_a_split_would_be_empty(
    run: Run, make_nih: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_nih(tmp_path / "nih", patients=24)
    leak(root)
    for image in sorted((root / "images").iterdir())[36:]:  # all test images
        image.unlink()
    settings = [*SMALL, f"data.root={root}", EPOCH]
    error = error_of(run, capsys, *settings)
    assert "(1) 1 patients" in error
    assert "(3) without these, no image is left for test" in error
    remedy = remedy_of(error)
    assert "data.drop_leaked=true" not in remedy
    code, folder = run(*settings, *remedy)
    assert code == 0
    assert summary_of(folder)["data"]["splits"].keys() == {"train", "val", "test"}


def test_evaluating_a_checkpoint_names_the_data_beside_the_remedy(
    run: Run, evaluate: Run, nih_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, folder = run(*SMALL, f"data.root={nih_folder}", EPOCH)
    assert code == 0
    (nih_folder / "images" / "00000016_001.png").unlink()
    (nih_folder / "images" / "00000015_001.png").write_bytes(b"")
    ckpt = f"ckpt={folder}/checkpoints/best.ckpt"
    capsys.readouterr()
    assert evaluate(ckpt, "cache=false")[0] == 1
    output = capsys.readouterr()
    assert_one_error_line(output.out, output.err, ["(1) 1 of", "(2) 1 of", f"data=nih data.root={nih_folder}"])
    remedy = remedy_of(output.err)
    assert "cache=true" in remedy
    assert "data.val_fraction=0.3" in remedy
    code, report = evaluate(ckpt, *remedy)
    assert code == 0
    assert (report / "report.html").is_file()
