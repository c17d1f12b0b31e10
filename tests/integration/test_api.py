"""train, evaluate and compare in Python: the numbers of the commands, nothing printed, the caller's state kept."""

import json
import logging
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

import cxr_lightning
from cxr_lightning.app.evaluate import run_evaluate
from cxr_lightning.cli.main import main
from cxr_lightning.data.datasets.nih import NIHLayout
from cxr_lightning.training.trained_run import TrainedRun
from tests.conftest import SMALL, Run, start, summary_of, write_nih


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_nih(tmp_path_factory.mktemp("api") / "nih")


@pytest.fixture(scope="module")
def trained(root: Path) -> TrainedRun:
    folder = root.parent
    paths = [f"paths.log_dir={folder / 'logs'}", f"paths.cache_dir={folder / 'cache'}"]
    return cxr_lightning.train(*SMALL, f"data.root={root}", *paths)


@pytest.fixture
def settings(root: Path) -> dict[str, Any]:
    paths = {"log_dir": root.parent / "logs", "cache_dir": root.parent / "cache"}
    return {"paths": paths, "num_workers": 0, "progress_bar": False, "replicates": 20, "gradcam": {"top": 1}}


def test_a_run_has_its_folder_summary_and_best_checkpoint(trained: TrainedRun) -> None:
    assert trained.folder.parent.name == "runs"
    assert (trained.folder / ".hydra" / "config.yaml").is_file()
    assert trained.summary == summary_of(trained.folder)
    assert trained.best_checkpoint == trained.folder / "checkpoints" / "best.ckpt"
    assert len(trained.test_auroc) == 14
    assert repr(trained).startswith(f"<TrainedRun in {trained.folder}: data: nih; 8 test images;")
    assert f"test AUROC {trained.summary['test']['macro_auroc']:.3f} over" in repr(trained)
    assert "data:image/png;base64," in trained._repr_html_()
    assert "Not for clinical use" in trained._repr_html_()


def test_a_run_below_the_working_directory_is_shown_without_the_path_to_it(
    trained: TrainedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trained.folder.parent)
    for shown in (repr(trained), trained._repr_html_()):
        assert trained.folder.name in shown
        assert str(trained.folder.parent) not in shown


def test_python_and_command_line_train_the_same_numbers(trained: TrainedRun, root: Path, run: Run) -> None:
    code, folder = run(*SMALL, f"data.root={root}")
    assert code == 0
    summary = summary_of(folder)
    for key in ("train_loss", "val_loss", "val_auroc", "constant_loss", "test"):
        assert summary[key] == trained.summary[key], key
    assert trained.best_checkpoint is not None
    paths = (trained.best_checkpoint, folder / "checkpoints" / "best.ckpt")
    mine, theirs = (torch.load(path, weights_only=True)["state_dict"] for path in paths)
    assert mine.pop("loss._extra_state") == theirs.pop("loss._extra_state")
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(value, theirs[name]) for name, value in mine.items())


@pytest.mark.slow
def test_python_and_command_line_evaluate_to_the_same_bits(
    trained: TrainedRun,
    settings: dict[str, Any],
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    report = cxr_lightning.evaluate(trained.best_checkpoint, **settings)
    assert not capsys.readouterr().out
    folders = [f"paths.log_dir={tmp_path}", f"paths.cache_dir={root.parent / 'cache'}"]
    options = ["num_workers=0", "progress_bar=false", "replicates=20", "gradcam.top=1"]
    assert start(run_evaluate, tmp_path, f"ckpt={trained.best_checkpoint}", *folders, *options) == 0
    (folder,) = (tmp_path / "evaluate" / "runs").iterdir()
    assert report.metrics == json.loads((folder / "metrics.json").read_text())
    written = report.write(tmp_path / "again").parent
    assert {path.name for path in written.iterdir()} == {
        path.name for path in folder.iterdir() if path.name not in (".hydra", "evaluate.log")
    }
    for name in ("metrics.json", "metrics.csv", "predictions.csv", "report.html"):
        assert (written / name).read_bytes() == (folder / name).read_bytes()
    page = report.to_html(tmp_path / "page.html")
    assert page.read_bytes() == (folder / "report.html").read_bytes()


def test_a_report_has_tables_numbers_and_a_picture(trained: TrainedRun, settings: dict[str, Any]) -> None:
    report = cxr_lightning.evaluate(trained.best_checkpoint, **{**settings, "prevalences": [0.1]})
    labels = report.metrics["labels"]
    assert list(report.findings.index) == list(labels)
    assert report.findings.loc["Effusion", "auroc"] == labels["Effusion"]["auroc"]["value"]
    assert report.findings.loc["Effusion", "positives"] == labels["Effusion"]["positives"]
    assert report.auroc == report.metrics["macro"]["auroc"]["value"]
    points: Any = report.operating_points.loc[("Effusion", "youden")]
    assert points["prevalence"].tolist()[1] == 0.1
    assert points["threshold"].iloc[0] == labels["Effusion"]["operating_points"]["youden"]["threshold"]
    assert set(report.subgroups.index.get_level_values("attribute")) == {"sex", "age", "view"}
    html = report._repr_html_()
    assert "data:image/png;base64," in html
    assert "Not for clinical use" in html
    assert "mean AUROC" in repr(report)


def test_two_reports_are_compared(trained: TrainedRun, settings: dict[str, Any], tmp_path: Path) -> None:
    report = cxr_lightning.evaluate(trained.best_checkpoint, **settings)
    file = report.write(tmp_path / "report").parent / "predictions.csv"
    for comparison in (
        cxr_lightning.compare(report, report, replicates=20),
        cxr_lightning.compare(file, str(file), replicates=20),
    ):
        assert comparison.table.loc["Effusion", "difference"] == 0
        assert comparison.table.index[-1] == "mean"
        written = pd.read_csv(comparison.to_csv(tmp_path / "comparison.csv"))
        assert written["finding"].tolist() == comparison.table.index.tolist()
        assert "corrected by Holm" in comparison._repr_html_()
        assert f"AUROC {report.auroc:.3f} and {report.auroc:.3f}, difference +0.000 [" in repr(comparison)


def test_the_plain_lightning_way_works_and_is_evaluated(root: Path, settings: dict[str, Any], tmp_path: Path) -> None:
    data = cxr_lightning.ChestXRayDataModule(
        str(root), NIHLayout(), val_fraction=0.3, image_size=32, batch_size=4, num_workers=0
    )
    model = cxr_lightning.ChestXRayClassifier(cxr_lightning.NIH_LABELS, backbone="densenet_micro", image_size=32)
    quiet: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = pl.Trainer(max_epochs=1, accelerator="cpu", default_root_dir=tmp_path, **quiet)
    trainer.fit(model, data)
    (scores,) = trainer.test(model, data, verbose=False)
    trainer.save_checkpoint(tmp_path / "plain.ckpt")
    del settings["num_workers"]  # the data module's own
    report = cxr_lightning.evaluate(tmp_path / "plain.ckpt", datamodule=data, **settings)
    assert report.auroc == pytest.approx(scores["test/auroc"], abs=1e-6)
    predictor = cxr_lightning.load_model(str(tmp_path / "plain.ckpt"), device="cpu")
    assert tuple(predictor.labels) == cxr_lightning.NIH_LABELS
    assert (
        main(["predict", str(next(root.glob("images/*.png"))), "--model", str(tmp_path / "plain.ckpt"), "--csv"]) == 0
    )


def test_the_callers_state_is_kept(root: Path, tmp_path: Path) -> None:
    torch.manual_seed(7)
    expected = torch.random.get_rng_state()
    handlers, argv = list(logging.getLogger().handlers), list(sys.argv)
    paths = [f"paths.log_dir={tmp_path}", f"paths.cache_dir={root.parent / 'cache'}"]
    lightning, filters = logging.getLogger("pytorch_lightning.utilities.rank_zero").level, list(warnings.filters)
    environment = dict(os.environ)
    cxr_lightning.train(*SMALL, f"data.root={root}", *paths, "debug=fast", "trainer.deterministic=true")
    assert not torch.are_deterministic_algorithms_enabled()
    assert os.environ.get("CUBLAS_WORKSPACE_CONFIG") == environment.get("CUBLAS_WORKSPACE_CONFIG")
    assert logging.getLogger("pytorch_lightning.utilities.rank_zero").level == lightning
    assert warnings.filters == filters
    assert {name: value for name, value in os.environ.items() if name.startswith("PL_")} == {
        name: value for name, value in environment.items() if name.startswith("PL_")
    }
    assert torch.equal(torch.random.get_rng_state(), expected)
    assert logging.getLogger().handlers == handlers
    assert sys.argv == argv


def test_a_refused_training_leaves_torch_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    wrong = ["trainer.deterministic=true", "+trainer.benchmark=true", "optimizer=sgd", "optimizer.momentum=0"]
    with pytest.raises(ValueError, match="momentum"):
        cxr_lightning.train(*wrong, f"paths.log_dir={tmp_path}")
    assert not torch.are_deterministic_algorithms_enabled()
    assert not torch.backends.cudnn.benchmark
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["-m", "seed=1,2"], "'key=value' but got '-m'"),
        (["data.subset"], "'key=value' but got 'data.subset'"),
        (["hydra.mode=MULTIRUN"], "these settings are a search"),
        (["trainer.devices=2"], "one device and one node"),
        (["seed=x"], "int as 'seed'"),
        (["sed=1", "data.labels=5", "optimizer.lr=-4"], "3 are wrong"),
        (["+callbacks.x._target_=os.system"], "got 'os.system'"),
        (["+hydra.callbacks.x._target_=os.system"], "os.system"),
    ],
)
def test_wrong_trainings_are_refused(overrides: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        cxr_lightning.train(*overrides, f"paths.log_dir={tmp_path}")


@pytest.mark.parametrize(
    ("ckpt", "arguments", "message"),
    [
        (None, {}, "either a checkpoint or predictions but got neither"),
        ("absent.ckpt", {}, "absent.ckpt"),
        ("a.ckpt", {"replicate": 3}, "'replicate'. Did you mean 'replicates'"),
        ("a.ckpt", {"replicates": 1}, "`replicates` to be at least 2"),
        ("a.ckpt", {"gradcam": {"tops": 1}}, "'gradcam.tops'"),
        ("latest", {"devices": 2}, "`devices` to be 1 in Python"),
        ("data=nih", {}, "first argument but got the override 'data=nih'"),
        ("a.ckpt", {"datamodule": object(), "root": "x", "batch_size": 3}, "no batch_size, root beside `datamodule`"),
        (7, {}, "path of a checkpoint, 'latest' or None but got 7"),
        (None, {"predictions": "x.csv"}, "`data` to say what"),
    ],
)
def test_wrong_evaluations_are_refused(ckpt: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        cxr_lightning.evaluate(ckpt, **arguments)


def test_data_may_be_named(trained: TrainedRun, settings: dict[str, Any], root: Path) -> None:
    report = cxr_lightning.evaluate(
        trained.best_checkpoint, "data.split=all", "data.labels=[Effusion]", data="nih", root=root, **settings
    )
    assert list(report.findings.index) == ["Effusion"]
    assert report.evaluation.images == 32


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_size": 64}, "images of 32 px, bilinear, as the model's, but got 64 px"),
        ({"interpolation": "nearest"}, "but got 32 px, nearest"),
    ],
)
def test_data_that_the_model_cannot_predict_is_refused(
    changes: dict[str, Any], message: str, trained: TrainedRun, settings: dict[str, Any], root: Path
) -> None:
    options = {"image_size": 32, "interpolation": "bilinear", **changes}
    data = cxr_lightning.ChestXRayDataModule(str(root), NIHLayout(), **options)
    del settings["num_workers"]
    with pytest.raises(ValueError, match=message):
        cxr_lightning.evaluate(trained.best_checkpoint, datamodule=data, **settings)


def test_a_hydra_program_may_train_and_evaluate(
    trained: TrainedRun, settings: dict[str, Any], root: Path, tmp_path: Path
) -> None:
    conf = tmp_path / "its conf (own), folder"
    conf.mkdir()
    (conf / "outer.yaml").write_text("mine: 1\n")
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf), version_base="1.3"):
        outer = GlobalHydra.instance().hydra
        cxr_lightning.evaluate(trained.best_checkpoint, **settings, config_dir=conf)
        paths = [f"paths.log_dir={tmp_path}", f"paths.cache_dir={root.parent / 'cache'}"]
        cxr_lightning.train(*SMALL, f"data.root={root}", *paths, "debug=fast", config_dir=conf)
        assert GlobalHydra.instance().hydra is outer
        assert compose("outer").mine == 1


def test_a_resumed_training_keeps_its_loss(root: Path, tmp_path: Path) -> None:
    paths = [f"paths.log_dir={tmp_path}", f"paths.cache_dir={root.parent / 'cache'}", f"data.root={root}"]
    run = cxr_lightning.train(*SMALL, *paths, "trainer.max_epochs=1", "test=false")
    last = run.folder / "checkpoints" / "last.ckpt"
    with pytest.raises(ValueError, match=r"these differ: loss.reduction \(mean in that run, sum now\), loss.weighting"):
        cxr_lightning.train(*SMALL, *paths, f"ckpt_path={last}", "loss=bce", "loss.reduction=sum")


@pytest.mark.slow
def test_the_verbs_train_and_evaluate_pass_everything_on(
    make_nih: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_nih(tmp_path / "nih")
    paths = [f"paths.log_dir={tmp_path / 'logs'}", f"paths.cache_dir={tmp_path / 'cache'}"]
    assert main(["train", *SMALL, f"data.root={root}", *paths, "trainer.max_epochs=1"]) == 0
    quick = ["replicates=20", "progress_bar=false", "num_workers=0", "gradcam.top=0"]
    assert main(["evaluate", "ckpt=latest", *paths, *quick]) == 0
    assert "report:" in capsys.readouterr().out
    assert main(["train", "seed=x", *paths]) == 1
    assert "error: Expected int as 'seed'" in capsys.readouterr().err
    assert main(["evaluate", "ckpt=absent.ckpt", *paths]) == 1
    assert main(["train", "--cfg", "job"]) == 0
    assert "backbone: densenet121" in capsys.readouterr().out
