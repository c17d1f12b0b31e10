"""train.py and evaluate.py with Keras weights, as a user types it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from cxr_lightning.app.evaluate import run_evaluate
from cxr_lightning.app.train import run_train
from cxr_lightning.checkpoints.foreign.build import build_foreign_model
from cxr_lightning.checkpoints.foreign.model_settings import ForeignSettings, resolve_foreign_model
from cxr_lightning.checkpoints.foreign.reader import read_foreign_weights
from cxr_lightning.checkpoints.load import as_classifier, load_classifier
from cxr_lightning.checkpoints.save import save_classifier
from cxr_lightning.imaging.reader import read_gray, resize
from cxr_lightning.inference.predictions_file import read_predictions
from cxr_lightning.labels import NIH_LABELS, WALKTHROUGH_LABELS
from cxr_lightning.models import setting_rules
from cxr_lightning.models.backbones.densenet import DENSENET_BLOCKS, densenet_backbone
from cxr_lightning.models.backbones.registry import BACKBONES, build_backbone
from tests.conftest import newest, start
from tests.unit.checkpoints.foreign.conftest import build

Run = Callable[..., tuple[int, Path]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Function that runs a program with the manifests' small DenseNet registered; returns its exit code and folder."""
    monkeypatch.setitem(DENSENET_BLOCKS, "densenet_small", (2, 1, 1, 1))
    monkeypatch.setitem(BACKBONES, "densenet_small", densenet_backbone((2, 1, 1, 1)))
    monkeypatch.setattr(setting_rules, "BACKBONE_NAMES", (*setting_rules.BACKBONE_NAMES, "densenet_small"))

    def run_with(main: Callable[[], None], *overrides: str) -> tuple[int, Path]:
        return start(main, tmp_path, *overrides), newest("logs/*/runs/*", tmp_path)

    return run_with


@pytest.mark.slow
def test_evaluate_reads_a_keras_file_directly(run: Run, make_nih: Callable[..., Path], tmp_path: Path) -> None:
    root, weights = make_nih(tmp_path / "nih", size=64), build("keras2_flat_dense.save_weights.h5", tmp_path)
    settings = [f"ckpt={weights}", "data=nih", f"root={root}", "source.image_size=64", "replicates=20"]
    code, folder = run(run_evaluate, *settings, "progress_bar=false", "num_workers=0")
    assert code == 0
    found = json.loads((folder / "metrics.json").read_text())
    assert list(found["labels"]) == list(WALKTHROUGH_LABELS)
    assert found["model"]["source"]["format"].startswith("Keras 2")
    assert found["protocol"]["facts"]["training data"] == "unknown"
    assert found["protocol"]["comparable"] is False
    # The pixels' statistics are those of the training images; the probability is computed once more by hand.
    model = found["model"]["hyperparameters"]
    predictions = read_predictions(folder / "predictions.csv")
    pixels = resize(read_gray(root / "images" / predictions.image_ids[0]), 64, "nearest").astype(np.float32)
    image = torch.from_numpy((pixels - model["mean"]) / model["std"])[None, None].expand(-1, 3, -1, -1)
    network = build_backbone("densenet_small", 14, batch_norm_epsilon=1.001e-5).eval()
    network.load_state_dict(dict(read_foreign_weights(weights).state), strict=False)
    with torch.no_grad():
        expected = network(image).sigmoid()[0].numpy()
    assert predictions.probabilities[0] == pytest.approx(expected, abs=1e-4)


def test_evaluate_names_the_settings_that_a_bare_file_lacks(
    run: Run, make_nih: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_nih(tmp_path / "nih", size=64)
    weights, notop = (build(f"keras3_{name}.weights.h5", tmp_path) for name in ("flat_dense", "notop"))
    cases = {
        "`data` beside": [f"ckpt={weights}"],
        "with a last layer": [f"ckpt={notop}", "data=nih", f"root={root}"],
        "'source.preprocessing'": [f"ckpt={weights}", "data=nih", f"root={root}", "source.preprocessing=histogram"],
        "14 labels": [f"ckpt={weights}", "data=nih", f"root={root}", "source.labels=[Mass]"],
    }
    for message, overrides in cases.items():
        assert run(run_evaluate, *overrides, "num_workers=0")[0] == 1
        (line,) = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
        assert message in line


def test_training_starts_from_a_file_without_a_last_layer_and_reports_a_new_one(
    run: Run, make_nih: Callable[..., Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root, weights = make_nih(tmp_path / "nih", size=64), build("keras2_notop.save_weights.h5", tmp_path)
    settings = ["data=nih", f"data.root={root}", "data.image_size=64", "data.batch_size=4", "data.num_workers=0"]
    settings += ["data.val_fraction=0.3", "trainer.accelerator=cpu", "trainer.max_epochs=1", "logger=none"]
    settings += ["callbacks.progress_bar=null", "model=densenet_micro", f"model.weights={weights}"]
    code, folder = run(run_train, *settings, "model.backbone=densenet_small", "model.freeze_backbone=true")
    assert code == 0
    assert "the last layer is new" in (folder / "train.log").read_text()
    model = load_classifier(str(folder / "checkpoints" / "best.ckpt"))
    assert model.hparams["batch_norm_epsilon"] == 1.001e-5
    assert model.metadata["initial_weights"] == str(weights)
    assert model.labels == NIH_LABELS
    kernel = read_foreign_weights(weights).state["features.conv0.weight"]
    assert torch.equal(model.network.backbone.state_dict()["features.conv0.weight"], kernel)


def test_weights_of_another_network_are_refused(
    run: Run, make_nih: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, weights = make_nih(tmp_path / "nih", size=64), build("keras2_notop.save_weights.h5", tmp_path)
    settings = ["data=nih", f"data.root={root}", "data.num_workers=0", "model=densenet_micro", "logger=none"]
    assert run(run_train, *settings, f"model.weights={weights}")[0] == 1
    assert "weights of densenet_micro" in capsys.readouterr().err


@pytest.mark.slow
def test_a_converted_checkpoint_cannot_be_resumed(
    run: Run, make_nih: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_nih(tmp_path / "nih", size=64)
    foreign = resolve_foreign_model(
        str(build("keras2_flat_dense.save.h5", tmp_path)), ForeignSettings(preprocessing="none")
    )
    save_classifier(as_classifier(build_foreign_model(foreign)), tmp_path / "model.ckpt")
    settings = ["data=nih", f"data.root={root}", "data.num_workers=0", "model=densenet_micro", "logger=none"]
    assert run(run_train, *settings, f"ckpt_path={tmp_path / 'model.ckpt'}")[0] == 1
    assert "holds a model alone" in capsys.readouterr().err
