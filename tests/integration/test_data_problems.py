"""Data that cannot be used as they are, as a user meets them: one message, and its remedy pasted in works."""

import gzip
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


@pytest.mark.slow
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


def edit(path: Path, *changes: tuple[str, str], count: int = -1) -> None:
    content = path.read_text()
    for old, new in changes:
        assert old in content
        content = content.replace(old, new, count)
    path.write_text(content)


def write_table(root: Path, header: str, cells: Callable[[int], str], file: str = "labels.csv") -> None:
    """A table of one's own beside NIH's images: the image, its patient, and further cells."""
    names = sorted(path.name for path in (root / "images").iterdir())
    rows = [f"images/{name},{name[:8]},{cells(number)}" for number, name in enumerate(names)]
    (root / file).write_text("\n".join([header, *rows]) + "\n")


LABELS = "Data_Entry_2017_v2020.csv"
OWN = (*SMALL[1:], "data=csv", "data.labels=[A,B]")


def test_problems_of_the_tables_are_in_one_message_with_those_of_the_images(
    run: Run, nih_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = (nih_folder / LABELS).read_text().splitlines()
    (nih_folder / LABELS).write_text("\n".join([*lines, lines[5], "00000099_000.png,Mass"]) + "\n")
    edit(nih_folder / LABELS, ("Mass", "Maas"))
    edit(nih_folder / LABELS, ("Nodule", "noduel"), count=1)
    edit(nih_folder / "BBox_List_2017.csv", ("256.0", "left"), count=1)
    with (nih_folder / "test_list.txt").open("a") as file:
        file.write("00000001_000.png\n00000016_001.png\n")
    for image in ("00000003_000.png", "00000004_001.png"):
        (nih_folder / "images" / image).unlink()
    (nih_folder / "images/00000005_000.png").write_bytes(b"")
    error = error_of(run, capsys, *SMALL, f"data.root={nih_folder}")
    expected = (
        rf"but 8 things are wrong\. \(1\) Expected 11 fields on every line of '.*{LABELS}'.* first line 35 with 2",
        r"\(2\) Expected NIH's finding names .* \d+ cells hold unknown findings: 'noduel' on line 2",
        r" \(Did you mean 'Nodule'\?\), 'Maas' 17 times, first on line 3 \(Did you mean 'Mass'\?\)\. Correct",
        r"\(3\) Expected every image once in .* but 1 are listed again: 00000003_000\.png, first on line 34",
        r"\(4\) Expected every image once in '.*test_list\.txt' .* first '00000016_001\.png' on line 10",
        r"\(6\) Expected the split lists in .* share 1, first 00000001_000\.png",
        r"\(5\) Expected four numbers for every box in '.*BBox_List_2017\.csv'",
        r"\(7\) .* 2 of 32 images in the label file are not on disk: 00000003_000\.png, 00000004_001\.png",
        r"\(8\) .* '.*00000005_000\.png'.* the file is empty",
        r"Correct the tables, then set data\.on_missing=skip data\.on_bad_image=skip to go on",
    )
    for pattern in expected:
        assert re.search(pattern, error), f"{pattern} is not in {error}"
    assert "positives" not in error
    assert "none of the" not in error


@pytest.mark.parametrize(
    ("settings", "expected", "absent"),
    [
        (
            ["data.source.patient_column=pat", "data.labels=[A,C]", "data.source.sex_column=sex"],
            [
                "Expected the columns 'pat', 'sex', 'C', each once, in",
                "`data.source.patient_column`, `data.source.sex_column`, `data.labels` or `data.label_map`.",
                "(2) Expected every image of the label file below the data folder but 1 of 32",
            ],
            "data.source.image_column",
        ),
        (
            ["data.source.image_column=imgae", "data.source.age_column=years"],
            [
                "Expected the columns 'imgae', 'years', each once",
                "'imgae' (Did you mean 'image'?), 'years' are not there",
            ],
            "on disk",
        ),
        (
            ["data.source.split_column=fold", "data.split=official"],
            [
                "(1) 10 images are in no split (train, val, test or train_val): images/00000001_000.png",
                "column 'fold' of '",
                "'trian' 8 times, first on line 2 (Did you mean 'train'?), '' (empty) 2 times, first on line 8",
                "(2) 1 of 32 images in the label file are not on disk",
                "Set data.split=patient data.on_missing=skip",
            ],
            "is left for",
        ),
        (
            ["data.labels=[A,B,fold]"],
            [
                "Expected 0, 1 or nothing (unknown) in column 'fold' of",
                "'trian' 8 times, first on line 2, 'val' 8 times",
            ],
            "Did you mean",
        ),
        (["data.source.file=images"], ["/images' but that is a folder. Set `data.source.file` to"], "Errno"),
        (["data.source.file="], ["but that is a folder. Set `data.source.file` to"], "Errno"),
        (["data.source.file=cut.csv.gz"], ["cut.csv.gz' but it cannot be decompressed"], "Errno"),
        (
            ["data.source.file=images/00000001_000.png"],
            ["text in UTF-8", "images/00000001_000.png' but it is a PNG image. Name another"],
            "Errno",
        ),
    ],
)
def test_problems_of_a_table_of_ones_own_are_told(
    settings: list[str],
    expected: list[str],
    absent: str,
    run: Run,
    nih_folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folds = ["trian", "val", "test", "train"]
    write_table(
        nih_folder,
        "image,patient_id,A,B,fold",
        lambda row: f"{row % 2},{int(row % 3 == 0)},{'' if row in (6, 7) else folds[row // 2 % 4]}",
    )
    (nih_folder / "cut.csv.gz").write_bytes(gzip.compress((nih_folder / "labels.csv").read_bytes())[:50])
    (nih_folder / "images/00000003_000.png").unlink()
    error = error_of(run, capsys, *OWN, *settings, f"data.root={nih_folder}")
    for part in expected:
        assert part in error
    assert absent not in error


def no_list(root: Path) -> None:
    (root / "test_list.txt").unlink()


def folder_as_list(root: Path) -> None:
    no_list(root)
    (root / "test_list.txt").mkdir()


def other_lists_names(root: Path) -> None:
    edit(root / "test_list.txt", (".png", "_x.png"))


def folder_as_labels(root: Path) -> None:
    (root / LABELS).unlink()
    (root / LABELS).mkdir()


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (no_list, ["8 are in none: 00000013_000.png", "test_list.txt' is not there", "set 'data.split=patient'"]),
        (folder_as_list, ["8 are in none", "test_list.txt' cannot be used: it is a folder"]),
        (other_lists_names, ["8 of the 8 names in '", f"test_list.txt' are not in {LABELS}, first 00000013_000_x.png"]),
        (folder_as_labels, [f"{LABELS}' but that is a folder. Set `data.source.label_file`"]),
    ],
)
def test_the_file_that_is_wrong_is_named(
    spoil: Callable[[Path], None],
    expected: list[str],
    run: Run,
    nih_folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spoil(nih_folder)
    error = error_of(run, capsys, *SMALL, f"data.root={nih_folder}")
    for part in expected:
        assert part in error
    assert "the `data` settings" not in error


def test_official_lists_of_more_images_than_the_label_file_are_one_line_of_warning(
    run: Run, nih_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in ("test_list.txt", "train_val_list.txt"):
        with (nih_folder / file).open("a") as names:
            names.writelines(f"{number:08d}_{len(file):03d}.png\n" for number in range(100, 200))
    code, folder = run(*SMALL, f"data.root={nih_folder}", EPOCH, "test=false")
    assert code == 0
    warnings = [line for line in (folder / "train.log").read_text().splitlines() if "are not in" in line]
    assert len(warnings) == 1
    assert "100 of the 124 names in '" in warnings[0]
    assert (
        f"100 of the 108 names in '{nih_folder}/test_list.txt' are not in {LABELS}, first 00000100_013" in warnings[0]
    )
