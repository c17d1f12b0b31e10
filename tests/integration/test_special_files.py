"""Pipes, devices and endless files in place of a user's files: one line or one rejection, and nothing is waited for."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cxr_lightning.cli.main import main
from cxr_lightning.data.csv_rows import MAX_CELLS, csv_rows
from cxr_lightning.data.datasets.csv_table import CsvLayout
from cxr_lightning.data.datasets.nih import NIHLayout
from cxr_lightning.labels import MAX_LABELS, check_labels
from tests.conftest import Run, assert_one_error_line
from tests.model_files import film, films, model_file

__all__ = ["film", "films", "model_file"]
LABELS = "Data_Entry_2017_v2020.csv"
HEADER = "image,patient_id,A\n"
NIH_HEADER = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position\n"


def pipe(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def ten_terabytes(path: Path) -> None:
    path.touch()
    os.truncate(path, 10 << 40)


Make = Callable[[Path], None]
IRREGULAR = "it is no regular file"
REASONS: dict[Make, str] = {pipe: IRREGULAR, device: IRREGULAR, ten_terabytes: "10,995,116,277,760 bytes"}
SPECIAL = list(REASONS)


@pytest.mark.parametrize("make", SPECIAL)
@pytest.mark.parametrize("name", [LABELS, pytest.param("BBox_List_2017.csv", marks=pytest.mark.slow)])
def test_training_refuses_a_table_that_has_no_end(
    name: str, make: Make, nih_folder: Path, run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    (nih_folder / name).unlink()
    make(nih_folder / name)
    code, _ = run("data=nih", f"data.root={nih_folder}", "model=densenet_micro", "logger=none", "data.num_workers=0")
    assert code == 1
    said = capfd.readouterr()
    if name == "train_val_list.txt" and make is not ten_terabytes:  # without a list the split is incomplete
        assert_one_error_line(said.out, said.err, [name])
    else:
        assert_one_error_line(said.out, said.err, [name, REASONS[make]])


@pytest.mark.parametrize("command", ["train", "prepare"])
def test_an_image_that_is_a_pipe_is_refused(
    command: str, nih_folder: Path, run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    image = nih_folder / "images" / "00000001_000.png"
    image.unlink()
    os.mkfifo(image)
    if command == "train":
        code, _ = run("data=nih", f"data.root={nih_folder}", "model=densenet_micro", "logger=none")
    else:
        code = main(["prepare", str(nih_folder), "--cache-dir", str(tmp_path / "cache")])
    assert code == 1
    assert_one_error_line("", capfd.readouterr().err.splitlines()[-1], ["00000001_000.png", "it is no regular file"])


@pytest.mark.parametrize("make", SPECIAL)
def test_predict_rejects_it_and_goes_on(
    make: Make, model_file: Path, films: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for suffix in ("png", "dcm", "tif"):
        make(tmp_path / f"x.{suffix}")
    paths = [str(tmp_path / f"x.{suffix}") for suffix in ("png", "dcm", "tif")]
    assert main(["predict", *paths, str(films[0]), "--model", str(model_file)]) == 3
    said = capsys.readouterr()
    assert "1 ok, 0 warning, 3 rejected" in said.err
    assert said.err.count(REASONS[make]) == 3


@pytest.mark.parametrize("make", SPECIAL)
def test_explain_refuses_it(make: Make, model_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(tmp_path / "x.png")
    out = tmp_path / "out"
    assert (
        main(["explain", str(tmp_path / "x.png"), "--model", str(model_file), "--labels", "Mass", "--out", str(out)])
        == 1
    )
    said = capsys.readouterr()
    assert_one_error_line(said.out, said.err, ["x.png", REASONS[make]])


TABLES: dict[str, tuple[Callable[[], str], str]] = {
    "columns": (lambda: "image,patient_id," + ",".join(f"x{n}" for n in range(300_000)), "300,002 columns, more than"),
    "a line": (lambda: HEADER + "x" * 5_000_000, "a line has more than 4,000,000 characters"),
    "the first line": (lambda: "x" * 5_000_000, "a line has more than 4,000,000 characters"),
    "a field": (lambda: HEADER + '"' + "x\n" * 100_000, "field larger than field limit"),
    "rows": (lambda: HEADER + "\n" * 1_100_000, "more than 1,000,000 rows"),
    "NUL": (lambda: HEADER + "a\0,1,1\n", "control character"),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_beyond_the_bounds_is_refused(name: str, tmp_path: Path) -> None:
    make, message = TABLES[name]
    (tmp_path / "labels.csv").write_text(make())
    with pytest.raises(ValueError, match=message) as caught:
        CsvLayout().read(tmp_path, ["A"])
    assert len(str(caught.value)) < 2000


def test_cells_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_CELLS > 2 * 160_868 * 36  # PadChest, the largest known table
    monkeypatch.setattr("cxr_lightning.data.csv_rows.MAX_CELLS", 10)
    (tmp_path / "x.csv").write_text("a,b,c\n" * 4)
    with pytest.raises(ValueError, match="more than 10 cells"):
        list(csv_rows(tmp_path / "x.csv"))


def test_very_many_columns_that_are_not_there_are_one_short_message(tmp_path: Path) -> None:
    columns = ",".join(f"label{number}{'x' * 100}" for number in range(4000))
    (tmp_path / "labels.csv").write_text(f"image,patient_id,{columns}\n")
    with pytest.raises(ValueError, match="and 970 others, each once") as caught:
        CsvLayout().read(tmp_path, [f"Label{number}" for number in range(1000)])
    assert len(str(caught.value)) < 10_000


def test_very_many_unknown_findings_are_one_short_message(tmp_path: Path) -> None:
    cell = "|".join(f"Y{number}" for number in range(10_000))
    rows = "".join(f"{number}.png,X{number},0,{number},50,M,PA\n" for number in range(30_000))
    (tmp_path / LABELS).write_text(f"{NIH_HEADER}a.png,{cell},0,1,50,M,PA\nb.png,{'x' * 100_000},0,1,50,M,PA\n{rows}")
    with pytest.raises(ValueError, match="30002 cells hold unknown findings: 'Y0' on line 2, 'Y1'") as caught:
        NIHLayout().read(tmp_path)
    assert len(str(caught.value)) < 2000


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([f"x{number}" for number in range(300_000)], f"at most {MAX_LABELS:,} labels but got 300,000"),
        (["x" * 1_000_000], "at most 200 characters but got one of 1,000,000"),
        ("x" * 1_000_000, "got the text 'x{79}…'"),
    ],
)
def test_labels_are_bounded(labels: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        check_labels(labels)
    assert len(str(caught.value)) < 500
