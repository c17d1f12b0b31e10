"""Names of findings, images and patients that would be markup, formulas or scripts where they are shown."""

import csv
import os
import unicodedata
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.core.global_hydra import GlobalHydra
from PIL import Image

from cxr_lightning.app.evaluate import run_evaluate
from cxr_lightning.app.train import run_train
from cxr_lightning.checkpoints.save import save_classifier
from cxr_lightning.cli.main import main
from cxr_lightning.inference.predictions_file import read_predictions
from cxr_lightning.models.classifier import ChestXRayClassifier
from cxr_lightning.utils.command_line import hydra_value
from tests.conftest import SMALL, newest, start, without_figures

FINDINGS = (
    *("[red]x[/nope]", "=1+1", "a$b$", "$\\frac{", "<script>alert(1)</script>", "../x", "..:x", "-5"),
    *("@f, \"g\" 'h'", "\uff1d2", "long " * 39),
)
IMAGES = ("=1+1", "[red]x[bold]", "a$b$", "<b>&amp;", "-5", "@x", "'=q", "\uff0b1", "it's", "n" * 200)
PATIENTS = ("=p+1", "'=q", "-5", "@x", "[red]p[/nope]", "<script>alert(1)</script>", "../p", "a$b$", "''=", "\\x1b")
ALLOWED_CONTROLS = {"\n"}


def write_set(folder: Path) -> Path:
    """A CSV data set with forty images; every finding is present in a half of each split."""
    generator = np.random.default_rng(0)
    folder.mkdir()
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "patient_id", "split", *FINDINGS])
        for number in range(40):
            place, visit = number % 10, number // 10
            name = f"{IMAGES[place]}{visit or ''}.png"
            pixels = generator.integers(0, 120, (32, 32), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name)
            targets = [(visit + place + column) % 2 for column in range(len(FINDINGS))]
            split = "test" if place < 2 else "val" if place < 4 else "train"
            writer.writerow([name, PATIENTS[place], split, *targets])
    return folder


def settings(folder: Path) -> list[str]:
    return [
        *("data=csv", f"data.root={folder}", "data.source.split_column=split", "data.split=official"),
        f"data.labels={hydra_value([name.strip() for name in FINDINGS])}",
    ]


class Tags(HTMLParser):
    """The tags of a page, with their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, attrs))


def assert_shown(text: str, source: str) -> None:
    """Check that a text holds nothing that a terminal would act on, and no trace of markup that was lost."""
    hidden = {one for one in text if unicodedata.category(one) in ("Cc", "Cf", "Cs", "Zl", "Zp")} - ALLOWED_CONTROLS
    assert not hidden, (source, hidden)
    assert "Traceback" not in text, text


def assert_no_formulas(path: Path) -> None:
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.reader(file):
            for cell in row:
                assert_shown(cell, str(path))
                start = unicodedata.normalize("NFKC", cell.lstrip()[:1])
                assert start not in ("=", "@", "+", "-") or is_number(cell), (path, cell)


def is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def printed(capfd: pytest.CaptureFixture[str], *expected: str) -> None:
    said = capfd.readouterr()
    assert_shown(said.out + said.err, "the terminal")
    for text in expected:
        assert text in said.out + said.err, said.out + said.err


def cxr(*arguments: str | Path) -> int:
    GlobalHydra.instance().clear()
    return main(list(map(str, arguments)))


@pytest.mark.slow
def test_no_name_is_markup_a_formula_or_a_command_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    root = write_set(tmp_path / "set")
    small = [
        text for text in SMALL if not text.startswith(("data=", "data.val_fraction", "trainer.max_epochs", "logger"))
    ]
    few = ["trainer.max_epochs=1", "monitor.name=val/loss", "monitor.mode=min", "logger=tensorboard"]
    assert start(run_train, tmp_path, "-m", *small, *settings(root), *few, "seed=1,2") == 0
    printed(capfd, "leaderboard:")
    sweep = newest("logs/train/multiruns/*", tmp_path)
    checkpoint = sweep / "0/checkpoints/best.ckpt"
    assert cxr("leaderboard", sweep) == 0

    quick = {"replicates": 2, "gradcam.top": 1, "gradcam.sanity": 0, "accelerator": "cpu", "num_workers": 0}
    assert start(run_evaluate, tmp_path, f"ckpt={checkpoint}", **quick, progress_bar="false") == 0
    report = newest("logs/evaluate/runs/*", tmp_path)
    printed(capfd, "[red]x[/nope]", "=1+1", "a$b$", "$\\frac{", "<script>alert(1)</script>")

    predictions = read_predictions(report / "predictions.csv")
    assert predictions.labels == tuple(name.strip() for name in FINDINGS)
    assert set(predictions.patient_ids) == set(PATIENTS[:2])
    again = [f"predictions={report / 'predictions.csv'}", *settings(root), "replicates=2"]
    with without_figures():
        assert start(run_evaluate, tmp_path, *again) == 0  # its own names are found in it

    compared = tmp_path / "compared.csv"
    csvs = [report / "predictions.csv", newest("logs/evaluate/runs/*", tmp_path) / "predictions.csv"]
    assert cxr("compare", *csvs, "--replicates", "10", "--out", compared) == 0
    printed(capfd, "[red]x[/nope]", "=1+1")

    monkeypatch.chdir(root)
    films = sorted(path.name for path in root.glob("*.png") if not path.name.startswith("-"))[:3]
    assert cxr("predict", *films, "./-5.png", "--model", checkpoint, "--out", tmp_path / "out", "--gradcam") == 0
    assert cxr("predict", *films[:1], "--model", checkpoint) == 0
    labels = "[red]x[/nope],../x,..:x"
    assert cxr("explain", films[0], "--model", checkpoint, "--labels", labels, "--out", tmp_path / "maps") == 0
    printed(capfd, "[red]x[/nope]")
    assert len(list((tmp_path / "maps").iterdir())) == 4  # a row, and one of each finding
    assert cxr("predict", *films[:2], "--model", checkpoint, "--csv") == 0
    (tmp_path / "printed.csv").write_text(capfd.readouterr().out, encoding="utf-8")

    check_files(tmp_path, root)
    page = (report / "report.html").read_text(encoding="utf-8")
    assert_shown(page, "report.html")
    tags = Tags(page).tags
    assert [tag for tag, _ in tags if tag == "script"] == ["script"]  # the page's own
    assert not [name for _, attributes in tags for name, _ in attributes if name.startswith("on")]
    assert not [tag for tag, _ in tags if tag in ("red", "b/", "iframe", "object")]


def check_files(folder: Path, root: Path) -> None:
    """Check what a training, an evaluation and a prediction have left: tables, logs and the names of files."""
    tables = [path for path in folder.rglob("*.csv") if root not in path.parents]
    assert {"leaderboard.csv", "metrics.csv", "predictions.csv", "results.csv", "history.csv"} <= {
        path.name for path in tables
    }
    for path in tables:
        assert_no_formulas(path)
    for path in folder.rglob("*.log"):
        assert_shown(path.read_text(encoding="utf-8"), str(path))
    names = [name for path in folder.rglob("*") if root not in path.parents for name in path.parts[-1:]]
    assert not [name for name in names if set(name) & set('<>:"|?*$[]\\') or len(os.fsencode(name)) > 200]


@pytest.mark.parametrize(
    ("column", "name", "shown"),
    [
        ("image", "a\x1b[31m.png", r"a\x1b[31m.png"),
        pytest.param("image", "a\u202egnp.png", r"a\u202egnp.png", marks=pytest.mark.slow),
        pytest.param("image", "a\u200b.png", r"a\u200b.png", marks=pytest.mark.slow),
        pytest.param("patient_id", "p\x9b31m", r"p\x9b31m", marks=pytest.mark.slow),
        pytest.param("patient_id", "p\u2066q", r"p\u2066q", marks=pytest.mark.slow),
        ("patient_id", "p\nerror: forged", r"p\nerror: forged"),
        ("finding", "M\u200bass", r"M\u200bass"),
        ("finding", "M\x7fass", r"M\x7fass"),
    ],
)
def test_names_that_hide_something_are_refused_in_one_line(
    column: str, name: str, shown: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    cells = {"image": "a.png", "patient_id": "1", "finding": "Mass"} | {column: name}
    with (tmp_path / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(
            [["image", "patient_id", cells["finding"]], [cells["image"], cells["patient_id"], "1"]]
        )
    given = ["data=csv", f"data.root={tmp_path}", f"data.labels={hydra_value([cells['finding']])}"]
    assert start(run_train, tmp_path, *given, "model.weights=null") == 1
    assert_one_line(capfd.readouterr().err, shown)


def assert_one_line(said: str, *words: str) -> None:
    (line,) = [line for line in said.split("\n") if line.strip()]
    assert_shown(line, "the error")
    assert line.startswith("error: ")
    assert all(word in line for word in words), line


@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", "\x1b[31mabsent.png", "--model", "x.ckpt"],
        ["predict", "absent.png", "--model", "\x1b[2J\rerror: forged\u2028.ckpt"],
        ["train", "data=csv", "data.root=/\x1b[31mabsent", "data.labels=[A]"],
        ["train", "da\x1b[31mta=x"],
        ["evaluate", 'ckpt="/absent\x1b[31m.ckpt"'],
        ["compare", "\x1b[31m[red]a[/nope].csv", "b.csv"],
        ["leaderboard", "/absent\x85\u202e"],
    ],
    ids=ascii,
)
def test_error_messages_quote_nothing_as_it_is(arguments: Sequence[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert cxr(*arguments) == 1
    assert_one_line(capfd.readouterr().err)


def test_wrong_usage_quotes_nothing_as_it_is(capfd: pytest.CaptureFixture[str]) -> None:
    for arguments in (["compare", "a", "b", "\x1b[31mc"], ["predict", "--\x1b[31m"], ["\x1b[31m"]):
        with pytest.raises(SystemExit) as exit_:
            cxr(*arguments)
        assert exit_.value.code == 2
        printed(capfd, r"\x1b[31m")


@pytest.mark.parametrize(
    "arguments",
    [["predict", "a", "--model", "x", "--out", ""], ["predict", "a", "--model", "x", "--out="], ["leaderboard", ""]],
    ids=ascii,
)
def test_an_empty_path_is_wrong_usage(arguments: Sequence[str], capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        cxr(*arguments)
    assert exit_.value.code == 2
    assert "Expected a path but got ''. Give one" in capfd.readouterr().err


def test_absent_devices_are_told_before_data_is_read(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model, root = tmp_path / "x.ckpt", write_set(tmp_path / "set")
    (root / "labels.csv").write_text("damaged")
    save_classifier(ChestXRayClassifier(["A"], backbone="densenet_micro", image_size=32).eval(), model)
    given = ["data=csv", f"data.root={root}", "data.labels=[A]"]
    accelerators = ("mps",) if torch.cuda.is_available() else ("gpu", "mps")
    for accelerator in accelerators:
        assert start(run_evaluate, tmp_path, f"ckpt={model}", *given, f"accelerator={accelerator}") == 1
        assert_one_line(capfd.readouterr().err, "accelerator")
        assert start(run_train, tmp_path, *given, f"trainer.accelerator={accelerator}", "model.weights=null") == 1
        assert_one_line(capfd.readouterr().err, "accelerator")
