"""cxr predict as a user types it, in this process."""

import csv
import json
import os
import signal
import unicodedata
from contextlib import redirect_stdout
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest
import torch

from cxr_lightning.checkpoints.save import save_classifier
from cxr_lightning.cli.main import main
from cxr_lightning.inference.decoded_inputs import InputDecoder
from cxr_lightning.inference.named_sources import NamedSource
from cxr_lightning.inference.probability_rows import judge_row
from cxr_lightning.models.classifier import ChestXRayClassifier
from cxr_lightning.models.network import Network
from tests.conftest import full_disk
from tests.model_files import film, films, model_file

__all__ = ["film", "films", "model_file"]


def lines_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]


def statuses_of(folder: Path) -> dict[str, str]:
    with (folder / "results.csv").open(newline="") as file:
        rows = [(row["file"], row["status"]) for row in csv.DictReader(file)]
    assert len(dict(rows)) == len(rows)
    return dict(rows)


def stop_after(results: int, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Have Ctrl-C come after so many results of usable files; gives the files that are read."""
    decode = InputDecoder.decode
    given: list[object] = []
    asked: list[Path] = []

    def interrupted(*row: Any) -> Any:
        given.append(row)
        if len(given) == results + 1:
            raise KeyboardInterrupt
        return judge_row(*row)

    def noted(decoder: InputDecoder, source: NamedSource) -> Any:
        assert source.path is not None
        asked.append(source.path)
        return decode(decoder, source)

    monkeypatch.setattr("cxr_lightning.inference.predictor.judge_row", interrupted)
    monkeypatch.setattr(InputDecoder, "decode", noted)
    return asked


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


def test_what_a_folder_holds_beside_images_is_counted_in_one_line(
    model_file: Path, films: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "film").write_bytes(films[0].read_bytes())
    for name, content in (("notes.txt", b"nothing"), ("all.zip", b"PK\x03\x04"), (".hidden.png", b"x")):
        (tmp_path / name).write_bytes(content)
    assert main(["predict", str(tmp_path), "--model", str(model_file)]) == 0
    said = capsys.readouterr().err
    (line,) = [line for line in said.splitlines() if line.startswith("passed over: ")]
    assert set(line.removeprefix("passed over: ").split(", ")) == {"1 text file", "1 zip archive", "1 hidden file"}
    assert "1 ok, 0 warning, 0 rejected" in said


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
    asked = stop_after(5, monkeypatch)
    assert main([*arguments, "--batch-size", "3"]) == 130
    assert len(lines_of(out)) == 6
    assert main(arguments) == 1
    assert "Add --resume" in capsys.readouterr().err
    with (out / "results.jsonl").open("a") as file:
        file.write('{"file": "torn')
    asked.clear()
    assert main([*arguments, "--batch-size", "50", "--resume"]) == 3
    assert sorted(asked) == sorted([bad, *films[5:9]])  # the rejected file is tried again
    assert [line["file"] for line in lines_of(out)] == [str(path) for path in (bad, *films[:5], bad, *films[5:9])]
    assert statuses_of(out) == {str(bad): "rejected"} | dict.fromkeys(map(str, films[:9]), "ok")
    bad.write_bytes(films[9].read_bytes())
    assert main([*arguments, "--resume"]) == 0
    assert statuses_of(out)[str(bad)] == "ok"  # the newest of three


def test_a_stopped_try_of_a_rejected_file_loses_nothing(
    model_file: Path, films: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, bad = tmp_path / "out", tmp_path / "bad.png"
    bad.write_bytes(b"nothing")
    arguments = ["predict", str(bad), str(films[0]), "--model", str(model_file), "--out", str(out)]
    assert main(arguments) == 3

    def interrupted(decoder: InputDecoder, source: NamedSource) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(InputDecoder, "decode", interrupted)
    assert main([*arguments, "--resume"]) == 130
    assert statuses_of(out) == {str(bad): "rejected", str(films[0]): "ok"}


def test_a_file_is_the_same_however_it_is_named(
    model_file: Path,
    films: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(films[0].parent)
    arguments = ["--model", str(model_file), "--out", str(tmp_path / "out")]
    assert main(["predict", films[0].name, f"./{films[0].name}", str(films[0]), *arguments]) == 0
    assert list(statuses_of(tmp_path / "out")) == [films[0].name]
    assert main(["predict", str(films[0]), *arguments, "--resume"]) == 0
    assert "1 of 1 files are done already" in capsys.readouterr().err
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"nothing")
    monkeypatch.chdir(tmp_path)
    arguments[-1] = str(tmp_path / "again")
    assert main(["predict", "bad.png", *arguments]) == 3
    bad.write_bytes(films[0].read_bytes())
    assert main(["predict", str(bad), *arguments, "--resume"]) == 0
    assert statuses_of(tmp_path / "again") == {str(bad): "ok"}


def test_rows_that_were_printed_before_ctrl_c_are_kept(
    model_file: Path, films: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stop_after(6, monkeypatch)
    paths = list(map(str, films[:9]))
    assert main(["predict", *paths, "--model", str(model_file), "--csv", "--batch-size", "3"]) == 130
    assert [row["file"] for row in csv.DictReader(StringIO(capsys.readouterr().out))] == paths[:6]


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("given", ["--out", "--csv", "table"])
def test_a_signal_tells_how_many_files_are_done(
    signum: signal.Signals,
    given: str,
    model_file: Path,
    films: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given_rows: list[object] = []

    def signaled(*row: Any) -> Any:
        given_rows.append(row)
        if len(given_rows) == 7:
            os.kill(os.getpid(), signum)
        return judge_row(*row)

    monkeypatch.setattr("cxr_lightning.inference.predictor.judge_row", signaled)
    paths, out = list(map(str, films[:9])), tmp_path / "out"
    options = {"--out": ["--out", str(out)], "--csv": ["--csv"], "table": []}[given]
    assert main(["predict", *paths, "--model", str(model_file), "--batch-size", "3", *options]) == 128 + signum
    said = capsys.readouterr()
    last = said.err.splitlines()[-1]
    assert last.startswith(f"stopped by {signum.name}; 6 of 9 files are done, and their results are ")
    if given == "--out":
        assert "go on with --resume" in last
        assert list(statuses_of(out)) == [line["file"] for line in lines_of(out)] == paths[:6]
    elif given == "--csv":
        assert [row["file"] for row in csv.DictReader(StringIO(said.out))] == paths[:6]
    else:
        assert "".join(said.out.split()).count(".png") == 6


@pytest.mark.parametrize("size", [900, 5000])
def test_a_full_disk_keeps_what_is_done_and_tells_how_to_go_on(
    size: int, model_file: Path, films: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    arguments = ["predict", *map(str, films), "--model", str(model_file), "--out", str(out), "--batch-size", "4"]
    with full_disk(size) as fill:
        fill()
        assert main(arguments) == 1
    content = (out / "results.jsonl").read_bytes()
    assert content.endswith(b"\n") or not content
    done = len(lines_of(out))
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert f"'{out / 'results.jsonl'}' but got: File too large. {done} of 40 files are done" in line
    assert line.endswith("Free disk space. Then go on with --resume.")
    assert len(statuses_of(out)) == done  # a table is shorter than its lines
    assert main([*arguments, "--resume"]) == 0
    assert len(statuses_of(out)) == len(lines_of(out)) == 40


@pytest.mark.parametrize("output", ["a reader that has ended", "closed", "a full disk"])
def test_results_in_a_folder_need_no_output(
    output: str, model_file: Path, films: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    full = Path("/dev/full").open("w")  # noqa: SIM115
    arguments = ["predict", *map(str, films[:5]), "--model", str(model_file), "--out", str(tmp_path / "out"), "--json"]
    with monkeypatch.context() as patch, os.fdopen(writer, "w", buffering=1) as pipe, full:
        streams = {"a reader that has ended": pipe, "closed": None, "a full disk": full}
        patch.setattr("sys.stdout", streams[output])
        assert main(arguments) == 0
    assert len(statuses_of(tmp_path / "out")) == 5


def test_names_of_files_are_inert_wherever_they_are_shown(
    model_file: Path,
    films: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    escape, line, unknown = "\x1b[31mx.png", "a\r\nerror: forged.png", os.fsdecode(b"s\xff.png")
    names = [escape, line, unknown, "[red]x[bold].png", "=cmd|' C calc'!A0.png", "\u202egnp.png", "bad\x9b[red].png"]
    for name in names:
        Path(name).write_bytes(b"nothing" if "bad" in name else films[0].read_bytes())
    shown = [name.encode("unicode_escape").decode() for name in names]
    arguments = ["predict", *names, "--model", str(model_file)]
    assert main([*arguments, "--out", "out"]) == 3
    assert main([*arguments, "--csv"]) == 3
    assert main([*arguments[:3], "--model", str(model_file)]) == 0
    said = capfd.readouterr()
    table = Path("out/results.csv").read_text(encoding="utf-8")
    for text in (said.out, said.err, table):
        assert not [one for one in text if unicodedata.category(one) in ("Cc", "Cf", "Cs") and one != "\n"]
    assert all(name in said.out for name in shown), said.out
    assert r"rejected: bad\x9b[red].png: " in said.err
    assert "\n'=cmd" in table
    assert "\n'=cmd" in said.out
    assert [line["file"] for line in lines_of(Path("out"))] == names


def test_names_in_no_encoding(
    model_file: Path, films: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = tmp_path / os.fsdecode(b"films-\xff/\xe9.png")
    odd.parent.mkdir()
    odd.write_bytes(films[0].read_bytes())
    out = tmp_path / "out"
    arguments = ["predict", str(odd.parent), "--model", str(model_file)]
    assert main([*arguments, "--out", str(out), "--gradcam"]) == 0
    assert lines_of(out)[0]["file"] == str(odd)
    assert list(statuses_of(out)) == [str(odd).replace("\udcff", r"\udcff").replace("\udce9", r"\udce9")]
    assert main([*arguments, "--out", str(out), "--gradcam", "--resume"]) == 0
    assert "1 of 1 files are done already" in capsys.readouterr().err
    stream = TextIOWrapper(BytesIO(), encoding="utf-8")
    with redirect_stdout(stream):
        assert main([*arguments, "--csv"]) == 0
        assert main(arguments) == 0
    stream.seek(0)
    assert r"\udcff" in stream.read()


def test_a_reader_that_has_seen_enough_is_no_fault(
    model_file: Path, films: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    end, start = os.pipe()
    os.close(end)
    with os.fdopen(start, "w") as stream, redirect_stdout(stream):
        assert main(["predict", *map(str, films), "--model", str(model_file), "--json"]) == 1
    assert "error" not in capsys.readouterr().err


def test_a_heat_map_that_fails_costs_no_result(
    model_file: Path,
    films: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("cxr_lightning.report.report_folder.write_overlay", fail)
    out = tmp_path / "out"
    assert main(["predict", *map(str, films[:2]), "--model", str(model_file), "--out", str(out), "--gradcam"]) == 1
    said = capsys.readouterr().err
    assert f"no heat map: {films[1]}: no space left on device" in said
    assert "2 could not be drawn" in said
    assert list(statuses_of(out).values()) == ["ok", "ok"]


def test_heat_maps_that_are_missing_are_drawn_on_resume_and_not_predicted(
    model_file: Path, films: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, drawn = tmp_path / "in", [0]
    folder.mkdir()
    for number, path in enumerate(films[:3]):
        (folder / f"{'1.2.826.0.1.3680043.8.498.' * 2}{number}.png").write_bytes(path.read_bytes())
    from cxr_lightning.report.report_folder import write_overlay

    def interrupted(*arguments: Any) -> None:
        drawn[0] += 1
        if drawn[0] == 2:
            raise KeyboardInterrupt
        if drawn[0] == 3:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        write_overlay(*arguments)

    monkeypatch.setattr("cxr_lightning.report.report_folder.write_overlay", interrupted)
    out = folder / "out"
    arguments = ["predict", str(folder), "--model", str(model_file), "--out", str(out), "--gradcam"]
    assert main(arguments) == 130
    assert main([*arguments, "--resume"]) == 1
    assert main([*arguments, "--resume"]) == 0
    maps = sorted(path.name for path in (out / "heatmaps").iterdir())
    assert len(maps) == 3
    assert all(name.endswith("_Effusion.png") for name in maps)
    assert main([*arguments, "--resume"]) == 0
    assert len(statuses_of(out)) == 3  # the maps are in the folder, but are no films


def test_labels_are_shown_as_they_are(films: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = ["Mass [old]", "B[/]"]
    save_classifier(ChestXRayClassifier(labels, backbone="densenet_micro", image_size=64).eval(), tmp_path / "x.ckpt")
    for paths in (films[:1], films[:5]):
        assert main(["predict", *map(str, paths), "--model", str(tmp_path / "x.ckpt")]) == 0
        said = capsys.readouterr().out
        assert "Mass [old]" in said or "B[/]" in said


def test_a_damaged_file_of_results_is_named(
    model_file: Path, films: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["predict", str(films[0]), "--model", str(model_file), "--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    (tmp_path / "out/results.jsonl").write_bytes(b"\xff\xfe\n")
    assert main([*arguments, "--resume"]) == 1
    assert "line 1 of" in capsys.readouterr().err


def test_want_of_memory_is_said_of_a_batch_and_of_a_file(
    model_file: Path, films: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["predict", *map(str, films[:2]), "--model", str(model_file)]

    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with monkeypatch.context() as patched:
        patched.setattr(Network, "forward", full)
        assert main(arguments) == 1
    assert "(for 2 images at once: give fewer at a time)" in capsys.readouterr().err

    def none_left(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("PIL.Image.open", none_left)
    assert main(arguments) == 3
    assert "not enough memory for it" in capsys.readouterr().err


def test_results_of_another_model_or_setting_are_not_gone_on_with(
    model_file: Path,
    films: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    arguments = ["predict", str(films[0]), "--model", str(model_file), "--out", str(out)]
    assert main(arguments) == 0
    before = (out / "results.jsonl").read_bytes()
    assert main([*arguments, "--resume", "--operating-point", "f1"]) == 1
    assert "these differ: operating_point" in capsys.readouterr().err
    with monkeypatch.context() as elsewhere:
        elsewhere.chdir(tmp_path)
        assert main([*arguments, "--resume"]) == 1  # relative paths would be others
    assert "these differ: working_directory" in capsys.readouterr().err
    (out / "about.json").write_text("{")
    assert main([*arguments, "--resume"]) == 1
    assert "about.json is missing or damaged" in capsys.readouterr().err
    assert (out / "results.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--gradcam"], "--out FOLDER with --gradcam"),
        (["--resume"], "--out FOLDER with --resume"),
        (["--batch-size", "0"], "`--batch-size` to be a whole number from 1 to 65,536 but got 0"),
        (["--threads", "100000"], "`--threads` to be a whole number from 1 to 1,024 but got 100000"),
        (["--operating-point", "x"], "operating point that the model carries"),
        *((["--device", name], "usable device") for name in ("tpu", "foo", "meta", "", "cuda:77", "cuda:-1", "cpu\n")),
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
