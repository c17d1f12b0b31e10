"""cxr predict as a user types it, in this process."""

import csv
import json
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from cxr_lightning.cli.main import main
from cxr_lightning.serving.model import Model, Predicted
from tests.serving.conftest import film, films, model_file

__all__ = ["film", "films", "model_file"]


def lines_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]


def test_one_image_is_a_table_of_its_findings(
    model_file: Path, films: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(films[0]), "--model", str(model_file)]) == 0
    said = capsys.readouterr()
    assert "operating point youden" in said.out
    assert "25.0%" in said.out
    assert "Not for clinical use." in " ".join(said.out.split())
    assert "1 ok, 0 warning, 0 rejected" in said.err


def test_rejected_files_give_their_reason_and_exit_code_3(
    model_file: Path, films: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.png").write_bytes(b"nothing")
    paths = [*map(str, films[:4]), str(tmp_path / "bad.png")]
    assert main(["predict", *paths, "--model", str(model_file)]) == 3
    said = capsys.readouterr()
    assert "[not_an_image]" in said.err
    assert "4 ok, 0 warning, 1 rejected" in said.err
    assert "Effusion" in said.out


def test_json_and_csv_say_the_same(
    model_file: Path, films: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "=bad.png").write_bytes(b"nothing")
    paths = [str(tmp_path / "=bad.png"), *map(str, films[:3])]
    assert main(["predict", *paths, "--model", str(model_file), "--json"]) == 3
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert main(["predict", *paths, "--model", str(model_file), "--csv"]) == 3
    rows = list(csv.DictReader(StringIO(capsys.readouterr().out)))
    assert [row["file"] for row in rows] == [record["file"] for record in records] == paths
    assert rows[0]["prob_Mass"] is None or rows[0]["prob_Mass"] == ""
    for row, record in zip(rows[1:], records[1:], strict=True):
        for finding in record["findings"]:
            assert float(row[f"prob_{finding['label']}"]) == finding["probability"]
            assert row[f"above_{finding['label']}"] == ("" if finding["above"] is None else str(int(finding["above"])))
    assert records[1]["findings"][2]["threshold"] is None


def test_a_folder_of_results_and_heat_maps(model_file: Path, films: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["predict", *map(str, films[:2]), "--model", str(model_file), "--out", str(out)]
    assert main([*arguments, "--gradcam"]) == 0
    assert len(lines_of(out)) == 2
    with (out / "results.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 2
    about = json.loads((out / "about.json").read_text())
    assert about["not_for_clinical_use"] is True
    assert about["operating_point"] == "youden"
    assert [path.name.rpartition("_")[2] for path in sorted((out / "heatmaps").iterdir())] == ["Effusion.png"] * 2


def test_ctrl_c_keeps_what_is_done_and_resume_leaves_it_out(
    model_file: Path,
    films: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, bad = tmp_path / "out", tmp_path / "bad.png"
    bad.write_bytes(b"nothing")
    arguments = ["predict", str(bad), *map(str, films[:9]), "--model", str(model_file), "--out", str(out)]
    results = Model._results
    asked: list[list[Path]] = []

    def interrupted(model: Model, inputs: Any) -> Iterator[Predicted]:
        if len(asked) == 2:
            raise KeyboardInterrupt
        asked.append([one.path for one in inputs])
        return results(model, inputs)

    monkeypatch.setattr(Model, "_results", interrupted)
    assert main([*arguments, "--batch-size", "3"]) == 130
    assert len(lines_of(out)) == 6
    assert main(arguments) == 1
    assert "Add --resume" in capsys.readouterr().err
    with (out / "results.jsonl").open("a") as file:
        file.write('{"file": "torn')
    asked.clear()
    assert main([*arguments, "--batch-size", "50", "--resume"]) == 3
    assert asked == [[bad, *films[5:9]]]  # the rejected file is tried again
    assert sorted(line["file"] for line in lines_of(out)) == sorted([str(bad), *map(str, films[:9])])
    with (out / "results.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 10


def test_results_of_another_model_or_setting_are_not_gone_on_with(
    model_file: Path, films: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    arguments = ["predict", str(films[0]), "--model", str(model_file), "--out", str(out)]
    assert main(arguments) == 0
    before = (out / "results.jsonl").read_bytes()
    assert main([*arguments, "--resume", "--operating-point", "f1"]) == 1
    assert "these differ: operating_point" in capsys.readouterr().err
    (out / "about.json").write_text("{")
    assert main([*arguments, "--resume"]) == 1
    assert "about.json is gone or damaged" in capsys.readouterr().err
    assert (out / "results.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--gradcam"], "--out FOLDER beside --gradcam"),
        (["--resume"], "--out FOLDER beside --resume"),
        (["--batch-size", "0"], "at least 1 but got 0"),
        (["--operating-point", "x"], "operating point that the model carries"),
        (["--device", "tpu"], "usable device"),
        (["--model", "gone.ckpt"], "no such file"),
    ],
)
def test_mistakes_are_one_line(
    options: list[str], words: str, model_file: Path, films: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(films[0]), "--model", str(model_file), *options]) == 1
    said = capsys.readouterr().err
    assert words in said
    assert len([line for line in said.splitlines() if line.startswith("error: ")]) == 1
