"""A package outside cxr_lightning brings a loss, a callback, a backbone, a layout, a metric and a verb.

No line of the core knows it: it is trusted by name in the environment, and its YAML files come by --config-dir.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra.core.global_hydra import GlobalHydra
from PIL import Image

import cxr_lightning
from cxr_lightning.app.evaluate import run_evaluate
from cxr_lightning.app.train import run_train
from cxr_lightning.checkpoints.load import load_classifier
from cxr_lightning.cli import registry
from cxr_lightning.cli.main import main
from cxr_lightning.metrics import report_metric
from cxr_lightning.training.trained_run import TrainedRun
from tests.conftest import start, summary_of

PLUGIN = Path(__file__).parents[1] / "data" / "plugin_example"
FINDINGS = ("Effusion", "Mass", "Nodule")
OWN = ("data=films", "model=tiny", "loss=focal", "callbacks=diary")
SETTINGS = (
    "data.image_size=32",
    "data.batch_size=8",
    "data.num_workers=0",
    "model.weights=null",
    "model.preprocessing=samplewise",
    "trainer.max_epochs=3",
    "trainer.accelerator=cpu",
    "trainer.precision=32-true",
    "callbacks.progress_bar=null",
    "logger=none",
    "optimizer.lr=0.01",
)


def write_films(folder: Path) -> Path:
    """Images whose findings are bright squares in three places, in the plugin's own layout."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    films = []
    for number in range(72):
        found = [name for name in FINDINGS if generator.random() < 0.4]
        pixels = generator.integers(0, 60, (48, 48), dtype=np.uint8)
        for name in found:
            row = 16 * FINDINGS.index(name)
            pixels[row : row + 12, 8:30] += 150
        Image.fromarray(pixels).save(folder / f"{number}.png")
        split = ("train", "train", "train", "train", "val", "test")[number % 6]
        films.append({"file": f"{number}.png", "patient": number, "split": split, "findings": found})
    (folder / "films.json").write_text(json.dumps(films))
    return folder


@pytest.fixture(scope="module")
def trust() -> Iterator[None]:
    """The plugin is trusted in the environment, as CXR_PLUGINS=chest_plugin PYTHONPATH=... would do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report_metric, "_registered", {})
        patch.setattr(registry, "_registered", {})
        patch.setenv("CXR_PLUGINS", "chest_plugin")
        patch.syspath_prepend(PLUGIN)
        yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "chest_plugin"]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("plugin")


@pytest.fixture(scope="module")
def root(folder: Path) -> Path:
    return write_films(folder / "films")


@pytest.fixture(scope="module")
def trained(trust: None, folder: Path, root: Path) -> TrainedRun:
    paths = [f"paths.log_dir={folder / 'logs'}", f"paths.cache_dir={folder / 'cache'}", f"data.root={root}"]
    return cxr_lightning.train(*OWN, *SETTINGS, *paths, config_dir=PLUGIN / "conf")


def arguments(folder: Path) -> list[str]:
    return [f"paths.log_dir={folder / 'logs'}", f"paths.cache_dir={folder / 'cache'}", "num_workers=0"]


@pytest.fixture(scope="module")
def report(trained: TrainedRun, folder: Path) -> Path:
    """The folder of a report that evaluate.py makes of the checkpoint alone."""
    given = [f"ckpt={trained.best_checkpoint}", "replicates=50", "gradcam.sanity=2", "progress_bar=false"]
    assert start(run_evaluate, folder, *given, "num_workers=0") == 0
    (found,) = (folder / "logs" / "evaluate" / "runs").iterdir()
    return found


def test_it_trains_with_all_its_parts(trained: TrainedRun) -> None:
    summary = summary_of(trained.folder)
    assert summary["train_loss"][-1] < summary["train_loss"][0]
    assert summary["data"]["source"] == "films"
    assert all(value > 0 for value in summary["constant_loss"].values())
    diary = (trained.folder / "diary.txt").read_text().splitlines()
    assert [float(line.split(": ")[1]) for line in diary] == pytest.approx(summary["val_loss"], abs=1e-6)
    checkpoint = torch.load(trained.folder / "checkpoints" / "best.ckpt", weights_only=True)
    assert checkpoint["hyper_parameters"]["backbone"] == "chest_plugin.backbones.tiny"
    record = checkpoint["cxr_lightning"]
    assert record["loss"] == "chest_plugin.losses.FocalLoss"
    assert record["data"]["settings"]["source"] == {"name": "chest_plugin.layouts.JsonLayout", "file": "films.json"}
    assert not torch.equal(checkpoint["state_dict"]["loss.log_weights"], torch.zeros(3))  # it was learned


@pytest.mark.slow
def test_a_run_is_resumed_with_the_losss_state(trust: None, folder: Path, root: Path) -> None:
    # A schedule over all steps would give the two epochs of the first run other learning rates.
    given = [*OWN, *SETTINGS, "scheduler=none", f"paths.cache_dir={folder / 'cache'}", f"data.root={root}"]
    more, whole = f"paths.log_dir={folder / 'more'}", f"paths.log_dir={folder / 'whole'}"
    first = cxr_lightning.train(*given, more, "trainer.max_epochs=2", config_dir=PLUGIN / "conf")
    last = first.folder / "checkpoints" / "last.ckpt"
    resumed = cxr_lightning.train(*given, more, f"ckpt_path={last}", config_dir=PLUGIN / "conf")
    uninterrupted = cxr_lightning.train(*given, whole, config_dir=PLUGIN / "conf")
    assert resumed.folder == first.folder
    assert len(resumed.summary["train_loss"]) == 3
    assert resumed.summary["train_loss"] == uninterrupted.summary["train_loss"]
    weights = [
        torch.load(run.folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for run in (resumed, uninterrupted)
    ]
    assert weights[0].keys() == weights[1].keys()
    assert "loss.log_weights" in weights[0]
    assert [name for name, tensor in weights[0].items() if not torch.equal(tensor, weights[1][name])] == []


def test_the_checkpoint_alone_is_evaluated(trained: TrainedRun, report: Path) -> None:
    metrics = json.loads((report / "metrics.json").read_text())
    assert list(metrics["labels"]) == list(FINDINGS)
    for label in FINDINGS:
        assert metrics["labels"][label]["auroc"]["value"] == pytest.approx(trained.test_auroc[label], abs=1e-6)
    assert list(report.glob("gradcam/*.png"))
    assert metrics["explanation"]["sanity"] is not None


def test_its_metric_is_in_the_page_the_files_and_the_table(
    trained: TrainedRun, report: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = json.loads((report / "metrics.json").read_text())
    predictions = np.genfromtxt(report / "predictions.csv", delimiter=",", names=True, dtype=None, encoding="utf-8")
    for label in FINDINGS:
        probabilities, targets = predictions[f"prob_{label}"], predictions[f"target_{label}"]
        found = metrics["labels"][label]["metrics"]["discrimination_slope"]
        assert found["value"] == pytest.approx(probabilities[targets == 1].mean() - probabilities[targets == 0].mean())
        assert found["low"] < found["value"] < found["high"]
    mean = metrics["macro"]["metrics"]["discrimination_slope"]
    assert mean["value"] == pytest.approx(
        np.mean([metrics["labels"][label]["metrics"]["discrimination_slope"]["value"] for label in FINDINGS])
    )
    page = (report / "report.html").read_text()
    assert "slope [95 %]" in page
    assert f"{mean['value']:+.3f}" in page
    assert "mean probability of the positives less that of the negatives" in page
    header = (report / "metrics.csv").read_text().splitlines()[0]
    assert "discrimination_slope,discrimination_slope_low,discrimination_slope_high" in header
    python = cxr_lightning.evaluate(
        trained.best_checkpoint,
        replicates=50,
        gradcam={"top": 0},
        num_workers=0,
        progress_bar=False,
        paths={"cache_dir": folder / "cache"},
    )
    first = metrics["labels"]["Effusion"]["metrics"]["discrimination_slope"]["value"]
    assert python.findings.loc["Effusion", "discrimination_slope"] == first


def test_the_terminal_table_shows_it(
    trained: TrainedRun, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    given = [f"ckpt={trained.best_checkpoint}", "replicates=5", "gradcam.top=0", "progress_bar=false"]
    assert start(run_evaluate, folder, *given, "num_workers=0", f"paths.log_dir={folder / 'table'}") == 0
    lines = capsys.readouterr().out.splitlines()
    heads = [number for number, line in enumerate(lines) if line.split()[:2] == ["finding", "positives"]]
    assert [lines[head].split()[2:] for head in heads] == [["AUROC", "AP", "Brier", "ECE"], ["slope"]]
    assert re.search(r"Effusion +\d+ of 12 +[+-]\d\.\d{3} \[[+-]", lines[heads[1] + 2])
    assert all(len(line) <= 80 for head in heads for line in lines[head : head + 8])


@pytest.mark.slow
def test_its_model_is_predicted_with_explained_and_exported(
    trained: TrainedRun, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image, checkpoint = str(root / "5.png"), str(trained.best_checkpoint)
    tables = []
    for model in (checkpoint, str(tmp_path / "model.onnx"), str(tmp_path / "model.safetensors")):
        if model != checkpoint:
            assert main(["export", checkpoint, model]) == 0
        capsys.readouterr()
        assert main(["predict", image, "--model", model, "--json"]) == 0
        findings = json.loads(capsys.readouterr().out)["findings"]
        tables.append([finding["probability"] for finding in findings])
    assert tables[1] == pytest.approx(tables[0], abs=1e-5)
    assert tables[2] == pytest.approx(tables[0], abs=1e-6)
    assert main(["check", checkpoint]) == 0
    assert main(["explain", image, "--model", checkpoint, "--top", "1", "--out", str(tmp_path / "maps")]) == 0
    assert list((tmp_path / "maps").glob("*.png"))


def test_its_verb_is_one_of_cxr(trust: None, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["films", str(root), "--finding", "Mass"]) == 0
    count = sum("Mass" in film["findings"] for film in json.loads((root / "films.json").read_text()))
    assert capsys.readouterr().out == f"{count} films\n"


def test_its_layout_is_prepared_by_name(
    trust: None, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--layout", "chest_plugin.layouts.JsonLayout", "--image-size", "32", "--cache-dir", str(tmp_path)]
    assert main(["prepare", str(root), *options]) == 0
    images, prepared, *_ = capsys.readouterr().out.splitlines()
    assert images.startswith("72 images of 32 px in ")
    assert prepared.startswith("  72 prepared now, ")


@pytest.fixture
def untrusted(trained: TrainedRun, monkeypatch: pytest.MonkeyPatch) -> str:
    """The trained checkpoint, where nobody trusts the package; it is importable all the same."""
    monkeypatch.delenv("CXR_PLUGINS")
    return str(trained.best_checkpoint)


ONE_LINE = "CXR_PLUGINS=chest_plugin in the environment"


@pytest.mark.parametrize("part", OWN)
def test_without_trust_each_part_is_refused_in_one_line_that_says_how(
    part: str,
    untrusted: str,
    folder: Path,
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    GlobalHydra.instance().clear()
    data = [] if part == "data=films" else ["data=nih"]
    given = ["--config-dir", str(PLUGIN / "conf"), part, *data, f"data.root={root}", f"paths.log_dir={tmp_path}"]
    monkeypatch.setattr(sys, "argv", ["train.py", *given, *SETTINGS])
    with pytest.raises(SystemExit) as end:
        run_train()
    assert end.value.code == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
    assert line.startswith("error: ")
    assert ONE_LINE in line
    assert "cxr_lightning.plugins" in line


def test_without_trust_the_checkpoint_is_refused(
    untrusted: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match=r"chest_plugin\.backbones\.tiny") as caught:
        load_classifier(untrusted)
    assert ONE_LINE in str(caught.value)
    for command in (["predict", str(root / "5.png"), "--model", untrusted], ["check", untrusted]):
        assert main(command) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert ONE_LINE in line


def test_nothing_in_a_checkpoint_or_a_setting_extends_trust(
    untrusted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    forged: dict[str, Any] = torch.load(untrusted, weights_only=True)
    forged["cxr_lightning"]["plugins"] = ["chest_plugin"]
    forged["hyper_parameters"]["backbone"] = "os.system"
    torch.save(forged, tmp_path / "forged.ckpt")
    with pytest.raises(ValueError, match=r"os\.system"):
        load_classifier(str(tmp_path / "forged.ckpt"))
    GlobalHydra.instance().clear()
    given = ["+hydra.job.env_set.CXR_PLUGINS=chest_plugin", "train=false", f"paths.log_dir={tmp_path}"]
    monkeypatch.setattr(sys, "argv", ["train.py", *given])
    with pytest.raises(SystemExit):
        run_train()
    assert "Expected no CXR_PLUGINS in 'hydra.job.env_set'" in capsys.readouterr().err
