"""The walk-through's settings on a part of the course's images: one message, one remedy, or as far as it goes."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Run, assert_one_error_line, summary_of
from tests.course_files import FILM, write_course

QUICK = (
    "experiment=walkthrough",
    "model=densenet_micro",
    "model.weights=null",
    "data.image_size=32",
    "data.num_workers=0",
    "trainer.accelerator=cpu",
    "trainer.max_epochs=1",
    "callbacks.progress_bar=null",
    "logger=none",
)


@pytest.fixture
def course(tmp_path: Path, make_nih: Callable[..., Path]) -> Path:
    return write_course(tmp_path / "course", [*(make_nih(tmp_path / "nih") / "images").iterdir()])


def keep(course: Path, counts: dict[str, int]) -> None:
    """Delete all images but the last so many of each table."""
    tables = {name: (course / name).read_text().splitlines()[1:] for name in counts}
    kept = {row.partition(",")[0] for name, rows in tables.items() for row in rows[len(rows) - counts[name] :]}
    for image in (course / "images-small").iterdir():
        if image.name not in kept:
            image.unlink()


def test_all_that_is_missing_is_one_message_whose_remedy_works(
    run: Run, course: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep(course, {"train-small.csv": 9, "valid-small.csv": 0, "test.csv": 5})
    given = [*QUICK, f"data.root={course}"]
    assert run(*given)[0] == 1
    output = capsys.readouterr()
    words = ["1 patients have images in more than one split", "are not on disk", FILM, "no image is left for val"]
    assert_one_error_line(output.out, output.err, words)
    (remedy,) = re.findall(r"Set (.*?) to go on without these images", output.err)
    assert "data.on_missing=skip" in remedy
    assert run(*given, *shlex.split(remedy))[0] == 0


def test_one_image_of_each_table_is_enough_to_go_on(run: Run, course: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keep(course, {"train-small.csv": 2, "valid-small.csv": 1, "test.csv": 1})
    code, folder = run(*QUICK, f"data.root={course}", "data.on_missing=skip", "data.drop_leaked=true")
    said = capsys.readouterr().out
    assert code == 0
    assert "going on without them" in said
    assert "not trained, and n/a in every result" in said
    assert re.search(
        r"train: 2 images of [12] patients; val: 1 images of 1 patients; test: 1 images of 1 patients", said
    )
    assert set(summary_of(folder)["test"]["auroc"].values()) == {None}
