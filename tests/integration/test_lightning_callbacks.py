"""Lightning's own callbacks in train.py: they work, also with what is saved and tested, or end in one error line."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from cxr_lightning import ChestXRayClassifier
from cxr_lightning.checkpoints.installation_check import difference_from_reference
from cxr_lightning.checkpoints.load import load_classifier
from cxr_lightning.training.callbacks import LightningCallbacks
from tests.conftest import Die, Run, assert_one_error_line, died, history_of, summary_of

MEASURED = ("train_loss", "val_loss", "val_auroc", "learning_rate")


def added(call: str) -> str:
    """The setting that adds a callback of Lightning."""
    return f"+callbacks.added={{_target_: pytorch_lightning.callbacks.{call}}}"


def content_of(folder: Path, name: str = "last.ckpt") -> dict[str, Any]:
    content: dict[str, Any] = torch.load(folder / "checkpoints" / name, weights_only=True)
    return content


def weights_of(folder: Path, name: str = "last.ckpt", key: str = "state_dict") -> dict[str, Tensor]:
    state: dict[str, object] = content_of(folder, name)[key]
    return {name: tensor for name, tensor in state.items() if isinstance(tensor, Tensor)}


def assert_tested_as_saved(folder: Path) -> None:
    """The test scored the weights in the best checkpoint, of which that has the reference probabilities too."""
    content = content_of(folder, "best.ckpt")
    model = load_classifier(str(folder / "checkpoints/best.ckpt"))
    assert difference_from_reference(model) < 1e-6  # one program, one machine
    assert content["cxr_lightning"]["val_auroc"].keys() == set(model.labels)


@pytest.mark.slow
def test_a_learning_rate_that_was_found_is_trained_with_and_recorded(run: Run, small: list[str]) -> None:
    settings = [*small, "trainer.max_epochs=4"]
    code, folder = run(*settings, added("LearningRateFinder, num_training_steps: 15"))
    rate = summary_of(folder)["found_learning_rate"]
    assert (code, rate is None) == (0, False)
    assert content_of(folder)["cxr_lightning"]["found_learning_rate"] == rate
    _, plain = run(*settings, f"optimizer.lr={rate!r}")
    for found, given in zip(history_of(folder), history_of(plain), strict=True):
        assert [found[name] for name in MEASURED] == [given[name] for name in MEASURED]


def test_a_learning_rate_that_was_not_found_is_an_error(
    run: Run, small: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*small, added("LearningRateFinder"))[0] == 1
    assert "it made 8 of its 100 steps" in capsys.readouterr().err


@pytest.mark.parametrize("backbone", ["densenet_micro", "convnext_tiny"])
def test_the_backbone_of_a_model_is_all_but_its_last_layer(backbone: str) -> None:
    model = ChestXRayClassifier(["Edema"], backbone=backbone, image_size=32)
    model.network.backbone.register_parameter("token", torch.nn.Parameter(torch.zeros(1)))  # of a transformer
    names = set(model.state_dict())
    head = {id(parameter) for parameter in model.network.head_layer.parameters()}
    features = {id(parameter) for parameter in model.backbone.parameters()}
    assert features == {id(parameter) for parameter in model.network.parameters()} - head
    assert set(model.state_dict()) == names


def test_a_backbone_is_trained_from_the_epoch_in_which_it_is_unfrozen(run: Run, small: list[str]) -> None:
    settings = [*small, "model.drop_rate=0", "trainer.max_epochs=3", "callbacks.snapshots.every_n_epochs=1"]
    call = "BackboneFinetuning, unfreeze_backbone_at_epoch: 2, backbone_initial_lr: 0.001"
    code, folder = run(*settings, added(call))
    assert code == 0
    first, second, third = (weights_of(folder, f"epoch_{epoch:03d}.ckpt") for epoch in (1, 2, 3))
    changed = [
        {name for name in before if not torch.equal(before[name], after[name])}
        for before, after in ((first, second), (second, third))
    ]
    convolutions = {name for name, tensor in first.items() if "conv" in name and tensor.dim() == 4}
    assert not convolutions & changed[0]
    assert convolutions <= changed[1]
    assert "network.backbone.classifier.weight" in changed[0] & changed[1]
    (optimizer,) = content_of(folder, "epoch_002.ckpt")["optimizer_states"]
    assert len(optimizer["param_groups"]) == 1
    assert_tested_as_saved(folder)


def test_gradients_are_accumulated_by_epoch_over_a_schedule_of_the_right_length(run: Run, small: list[str]) -> None:
    call = "GradientAccumulationScheduler, scheduling: {0: 4, 2: 1}"
    code, folder = run(*small, "trainer.max_epochs=3", added(call))
    assert code == 0
    assert content_of(folder)["global_step"] == 1 + 1 + 4  # of four batches in each epoch
    assert history_of(folder)[-1]["learning_rate"] == pytest.approx(0, abs=1e-12)
    assert history_of(folder)[-2]["learning_rate"] > 0


@pytest.mark.parametrize(
    "call", ["EMAWeightAveraging, decay: 0.5", pytest.param("WeightAveraging", marks=pytest.mark.slow)]
)
def test_averaged_weights_are_validated_saved_and_tested(run: Run, small: list[str], call: str) -> None:
    code, folder = run(*small, added(call))
    assert code == 0
    averaged, current = weights_of(folder), weights_of(folder, key="current_model_state")
    assert any(not torch.equal(averaged[name], current[name]) for name in averaged)
    assert_tested_as_saved(folder)
    best = f"ckpt_path={folder}/checkpoints/best.ckpt"
    assert run(*small, "train=false", best, f"hydra.run.dir={folder}-again")[0] == 0
    assert summary_of(Path(f"{folder}-again"))["test"] == summary_of(folder)["test"]


@pytest.mark.slow
def test_current_weights_are_validated_saved_and_tested_until_an_average_is_made(
    run: Run, small: list[str], die: Die
) -> None:
    settings = [*small, "callbacks.snapshots.every_n_epochs=1", "callbacks.last_checkpoint.every_steps=1"]
    _, plain = run(*settings)
    averaging = [*settings, added("EMAWeightAveraging, decay: 0.5, update_starting_at_step: 6")]  # of four steps
    code, folder = run(*averaging)
    assert code == 0
    assert history_of(folder)[0]["val_loss"] == history_of(plain)[0]["val_loss"]
    expected = weights_of(plain, "epoch_001.ckpt")
    for name, tensor in weights_of(folder, "epoch_001.ckpt").items():
        assert torch.equal(tensor, expected[name])
    averaged, current = weights_of(folder), weights_of(folder, key="current_model_state")
    assert any(not torch.equal(averaged[name], current[name]) for name in averaged)
    assert_tested_as_saved(folder)
    die(1, 1)
    died(run, *averaging, f"hydra.run.dir={folder}-again")
    again = Path(f"{folder}-again")
    waiting, current = weights_of(again), weights_of(again, key="current_model_state")
    assert all(torch.equal(waiting[name], current[name]) for name in waiting)
    assert run(*averaging, f"ckpt_path={again}/checkpoints/last.ckpt")[0] == 0
    for name, tensor in weights_of(again).items():
        assert torch.equal(tensor, averaged[name])


@pytest.mark.parametrize(
    ("call", "ending"),
    [
        ("EMAWeightAveraging, update_starting_at_step: 6", "+callbacks.early_stopping.stopping_threshold=0"),
        (
            "StochasticWeightAveraging, swa_lrs: 0.1, swa_epoch_start: 2",
            "callbacks.early_stopping=null +trainer.max_steps=5",
        ),
    ],
)
def test_a_training_that_ends_before_an_average_is_made_is_tested_with_its_own_weights(
    run: Run, small: list[str], capsys: pytest.CaptureFixture[str], call: str, ending: str
) -> None:
    settings = [*small, *ending.split()]  # after the first epoch, or within the second
    _, plain = run(*settings)
    capsys.readouterr()
    code, folder = run(*settings, added(call))
    assert code == 0
    assert f"training ended before {call.partition(',')[0]} had averaged the weights" in capsys.readouterr().out
    assert summary_of(folder)["test"] == summary_of(plain)["test"]
    assert_tested_as_saved(folder)


@pytest.mark.slow
def test_stochastic_weight_averaging_ends_in_an_epoch_of_the_average(
    run: Run, small: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    averages: list[dict[str, Tensor]] = []
    monkeypatch.setattr(
        LightningCallbacks, "on_train_end", lambda self, trainer, module: averages.append(average(trainer))
    )
    call = added("StochasticWeightAveraging, swa_lrs: 0.01, swa_epoch_start: 1")
    settings = [*small, "trainer.max_epochs=3", "callbacks.early_stopping=null", call]
    code, folder = run(*settings)
    assert code == 0
    assert len(history_of(folder)) == 4
    saved = content_of(folder)["state_dict"]
    assert averages
    for name, tensor in averages[0].items():
        assert torch.equal(saved[name], tensor)
    assert_tested_as_saved(folder)
    capsys.readouterr()
    assert run(*settings, f"ckpt_path={folder}/checkpoints/last.ckpt")[0] == 1
    assert_one_error_line("", capsys.readouterr().err, ["StochasticWeightAveraging cannot be", "Start it anew"])


def average(trainer: Any) -> dict[str, Tensor]:
    """Parameters that the callback has averaged."""
    (callback,) = (item for item in trainer.callbacks if type(item).__name__ == "StochasticWeightAveraging")
    return {name: tensor.detach().clone() for name, tensor in callback._average_model.named_parameters()}


WORKING = (
    'Timer, duration: "00:01:00:00"',
    "LearningRateMonitor, logging_interval: step",
    "DeviceStatsMonitor, cpu_stats: false",
    "ModelCheckpoint, monitor: val/loss, filename: loss",
    "ModelSummary",
    "TQDMProgressBar",
    "LambdaCallback",
    "Callback",
)


def test_the_others_work_together(run: Run, small: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    more = [added(call).replace("added", f"added{number}") for number, call in enumerate(WORKING)]
    code, folder = run(*small, "trainer.max_epochs=1", "logger=csv", *more)
    assert code == 0
    assert {path.name for path in folder.rglob("*.ckpt")} == {"best.ckpt", "last.ckpt", "loss.ckpt"}
    assert "not supported by the model summary" not in capsys.readouterr().err
