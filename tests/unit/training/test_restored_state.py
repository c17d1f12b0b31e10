"""The state of a training that somebody has altered is refused in one line, or the training goes on with it."""

import copy
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import BackboneFinetuning, EarlyStopping, ModelCheckpoint, Timer
from torch import nn, optim
from torch.optim import Optimizer, lr_scheduler

from cxr_lightning.checkpoints.read import read_checkpoint
from cxr_lightning.checkpoints.save import save_classifier
from cxr_lightning.models.classifier import ChestXRayClassifier
from cxr_lightning.training.callbacks.last_checkpoint import LastCheckpoint, is_exhausted
from cxr_lightning.training.callbacks.resumed_run import ResumedRun
from cxr_lightning.training.restored_state import (
    check_optimization,
    check_progress,
    explain_restoring,
)
from cxr_lightning.training.run_settings import RunSettings
from cxr_lightning.training.state_structure import RestoredStateError
from tests.slow_cases import one_in

Make = Callable[[list[nn.Parameter]], tuple[Optimizer, Any]]
VALUES: tuple[object, ...] = (
    "x",
    "0.1",
    None,
    True,
    [],
    {},
    [1],
    0,
    1,
    2,
    -1,
    10**9,
    10**20,
    2**70,
    float("nan"),
    torch.ones(7),
    torch.ones(()),
)


def adam(parameters: list[nn.Parameter]) -> tuple[Optimizer, Any]:
    optimizer = optim.AdamW(parameters, lr=0.1)
    return optimizer, lr_scheduler.ReduceLROnPlateau(optimizer)


def sgd(parameters: list[nn.Parameter]) -> tuple[Optimizer, Any]:
    groups: list[dict[str, Any]] = [{"params": parameters[:1]}, {"params": parameters[1:], "lr": 0.2}]
    optimizer = optim.SGD(groups, lr=0.1, momentum=0.9)
    return optimizer, lr_scheduler.CosineAnnealingLR(optimizer, 9)


def in_two_parts(parameters: list[nn.Parameter]) -> tuple[Optimizer, Any]:
    optimizer = optim.Adam(parameters, lr=0.1)
    parts = [lr_scheduler.LinearLR(optimizer), lr_scheduler.ExponentialLR(optimizer, 0.9)]
    return optimizer, lr_scheduler.SequentialLR(optimizer, parts, [2])


def adagrad(parameters: list[nn.Parameter]) -> tuple[Optimizer, Any]:
    optimizer = optim.Adagrad(parameters, lr=0.1)
    return optimizer, lr_scheduler.MultiStepLR(optimizer, [2, 4])


def one_cycle(parameters: list[nn.Parameter]) -> tuple[Optimizer, Any]:
    optimizer = optim.RMSprop(parameters, lr=0.1, momentum=0.9)
    return optimizer, lr_scheduler.OneCycleLR(optimizer, 0.2, 20)


def whole_rate(parameters: list[nn.Parameter]) -> tuple[Optimizer, Any]:
    optimizer = optim.SGD(parameters, lr=1)
    return optimizer, lr_scheduler.ExponentialLR(optimizer, 0.5)


def broken_length(parameters: list[nn.Parameter]) -> tuple[Optimizer, Any]:
    optimizer = optim.SGD(parameters, lr=0.1)
    return optimizer, lr_scheduler.CosineAnnealingLR(optimizer, 7.5)  # type: ignore[arg-type]


def momentum_by_schedule(parameters: list[nn.Parameter]) -> tuple[Optimizer, Any]:
    optimizer = optim.SGD(parameters, lr=0.1, momentum=0)
    return optimizer, lr_scheduler.CyclicLR(optimizer, 0.1, 0.2)


def adafactor(parameters: list[nn.Parameter]) -> tuple[Optimizer, Any]:
    optimizer = optim.Adafactor(parameters)
    return optimizer, lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.9**epoch)


def repeated(parameters: list[nn.Parameter]) -> tuple[Optimizer, Any]:
    optimizer = optim.RAdam(parameters, lr=0.1)
    return optimizer, lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 2, 2)


def by_power(parameters: list[nn.Parameter]) -> tuple[Optimizer, Any]:
    optimizer = optim.ASGD(parameters, lr=0.1)
    return optimizer, lr_scheduler.PolynomialLR(optimizer, 5, 2.0)


def by_step(parameters: list[nn.Parameter]) -> tuple[Optimizer, Any]:
    optimizer = optim.Adamax(parameters, lr=0.1)
    return optimizer, lr_scheduler.StepLR(optimizer, 2)


def in_unlike_groups(parameters: list[nn.Parameter]) -> tuple[Optimizer, Any]:
    groups: list[dict[str, Any]] = [{"params": parameters[:1], "amsgrad": True}, {"params": parameters[1:]}]
    optimizer = optim.Adam(groups, lr=0.1)
    return optimizer, lr_scheduler.StepLR(optimizer, 2)


MAKERS = (
    *(adam, sgd, in_two_parts, adagrad, one_cycle, whole_rate, momentum_by_schedule, adafactor, in_unlike_groups),
    *(repeated, by_power, by_step),
)


def steps(optimizer: Optimizer, schedule: Any, number: int) -> None:
    for _ in range(number):
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = torch.full_like(parameter, 0.3)
        optimizer.step()
        schedule.step(*([0.5] if isinstance(schedule, lr_scheduler.ReduceLROnPlateau) else []))


def training(make: Make) -> tuple[Any, Optimizer, Any]:
    """What the check sees of a trainer, and its optimizer and schedule."""
    optimizer, schedule = make([nn.Parameter(torch.ones(2, 3)), nn.Parameter(torch.ones(3))])
    configs = [SimpleNamespace(scheduler=schedule)]
    return SimpleNamespace(optimizers=[optimizer], lr_scheduler_configs=configs), optimizer, schedule


def saved(make: Make) -> dict[str, Any]:
    _, optimizer, schedule = training(make)
    steps(optimizer, schedule, 3)
    return {"optimizer_states": [optimizer.state_dict()], "lr_schedulers": [schedule.state_dict()]}


def go_on(content: Mapping[str, Any], make: Make) -> list[float]:
    """Check, restore and go on as Lightning does; the learning rates afterwards."""
    trainer, optimizer, schedule = training(make)
    check_optimization("x.ckpt", content, trainer)
    try:
        optimizer.load_state_dict(content["optimizer_states"][0])
        schedule.load_state_dict(content["lr_schedulers"][0])
    except Exception as error:
        raise explain_restoring(error, "x.ckpt") from error
    steps(optimizer, schedule, 3)
    return [float(group["lr"]) for group in optimizer.param_groups]


def refusal(content: Mapping[str, Any], place: tuple[Any, ...], make: Make) -> str:
    """Why a training does not go on; empty if it does."""
    try:
        go_on(content, make)
    except ValueError as error:
        return str(error)
    except Exception as error:
        error.add_note(f"altered at {place}")
        raise
    return ""


def places(content: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The keys that lead to every value."""
    pairs = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in pairs:
        yield (*place, key)
        yield from places(value, (*place, key))


def altered(content: Any, place: tuple[Any, ...], change: Callable[[Any, Any], None]) -> Any:
    content = copy.deepcopy(content)
    inner = content
    for key in place[:-1]:
        inner = inner[key]
    change(inner, place[-1])
    return content


def remove(inner: Any, key: Any) -> None:
    del inner[key]


def replace_by(value: object) -> Callable[[Any, Any], None]:
    def change(inner: Any, key: Any) -> None:
        inner[key] = value

    return change


@pytest.mark.parametrize("make", [*MAKERS, broken_length])
def test_a_training_goes_on_with_its_own_state(make: Make) -> None:
    _, optimizer, schedule = training(make)
    steps(optimizer, schedule, 6)
    assert go_on(saved(make), make) == [group["lr"] for group in optimizer.param_groups]


@pytest.mark.parametrize("make", one_in(3, MAKERS))
def test_any_altered_value_is_refused_or_gone_on_with(make: Make) -> None:
    content = saved(make)
    changes = [(place, change) for place in places(content) for change in (remove, *map(replace_by, VALUES))]
    said = [refusal(altered(content, place, change), place, make) for place, change in changes]
    refused = [text for text in said if text]
    assert all(text.startswith("Expected the state of a training in 'x.ckpt' but ") for text in refused)
    assert not any("\n" in text for text in refused)
    assert len(changes) / 2 < len(refused) < len(changes)


@pytest.mark.parametrize("key", [0.0, True, "0", -1, 2])
@pytest.mark.parametrize("make", [adam, adafactor])
def test_a_state_is_that_of_a_parameters_number(make: Make, key: object) -> None:
    content = saved(make)
    content["optimizer_states"][0]["state"] = {key: content["optimizer_states"][0]["state"][1]}
    with pytest.raises(ValueError, match=r"`optimizer_states\.0\.state` is not that of 2 parameters"):
        go_on(content, make)


@pytest.mark.parametrize("flag", [None, True, False])
def test_how_an_optimizer_computes_may_differ(flag: bool | None) -> None:
    content = saved(adam)
    content["optimizer_states"][0]["param_groups"][0]["foreach"] = flag
    go_on(content, adam)


def test_what_is_no_number_is_refused_where_one_was() -> None:
    for place in (("optimizer_states", 0, "param_groups", 0, "lr"), ("lr_schedulers", 0, "factor")):
        with pytest.raises(ValueError, match="is nan, not a number of this size"):
            go_on(altered(saved(adam), place, replace_by(float("nan"))), adam)


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        (("optimizer_states", 0, "param_groups", 0, "params"), [1, 0], "params` are not those of the model"),
        (("optimizer_states", 0, "param_groups", 0, "params"), [0, 7], "params` are not those of the model"),
        (("optimizer_states", 0, "param_groups", 0, "lr"), "0.1", "lr` is '0.1', not a number"),
        (("lr_schedulers", 0, "optimizer"), 5, "`lr_schedulers.0` holds 'optimizer'"),
        (("lr_schedulers", 0, "step"), 5, "`lr_schedulers.0` holds 'step'"),
    ],
)
def test_what_replaces_an_attribute_or_a_parameter_is_refused(
    place: tuple[Any, ...], value: object, reason: str
) -> None:
    with pytest.raises(ValueError, match=r"^Expected the state of a training in 'x\.ckpt' but its `") as error:
        go_on(altered(saved(adam), place, replace_by(value)), adam)
    assert reason in str(error.value)


def test_a_schedule_within_another_is_checked() -> None:
    content = saved(in_two_parts)
    content["lr_schedulers"][0]["_schedulers"][1]["optimizer"] = 5
    with pytest.raises(ValueError, match=r"`lr_schedulers\.0\._schedulers\.1` holds 'optimizer'"):
        go_on(content, in_two_parts)


def finetuning(groups: object) -> dict[str, Any]:
    return {"internal_optimizer_metadata": groups, "previous_backbone_lr": None}


def progress_of(callback: pl.Callback, **more: object) -> Callable[[dict[str, Any]], None]:
    """The check of the progress of a training with a callback, given the callback's state."""
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, callbacks=[callback])

    def check(state: dict[str, Any]) -> None:
        content = {
            "loops": {"fit_loop": trainer.fit_loop.state_dict()},
            "callbacks": {callback.state_key: state},
            "optimizer_states": [],
            "lr_schedulers": [],
            "epoch": 1,
            "global_step": 4,
            **more,
        }
        check_progress("x.ckpt", content, trainer, ["a", "b"])

    return check


def progress(callback: pl.Callback, state: dict[str, Any], **more: object) -> None:
    progress_of(callback, **more)(state)


@pytest.mark.parametrize(
    "groups",
    [
        {0: []},
        {0: [{"params": ["x"]}]},
        {0: [{"params": ["a"]}, {"params": ["a"]}]},
        {0: [{"lr": 0.1}]},
        {0: [{"params": "ab"}]},
        {0: [{"params": [["a"]]}]},
        {0: {"params": ["a"]}},
        {0: 7},
    ],
    ids=str,
)
def test_groups_of_parameters_that_cannot_be_made_are_refused(groups: dict[int, Any]) -> None:
    with pytest.raises(ValueError, match=r"but its `callbacks\.BackboneFinetuning\.internal_optimizer_metadata\.0` "):
        progress(BackboneFinetuning(), finetuning(groups))


def test_groups_of_the_models_parameters_are_taken() -> None:
    groups = [{"params": ["a"], "lr": 0.1}, {"params": ["b"], "lr": 0.2}]
    progress(BackboneFinetuning(), finetuning({0: groups}))
    progress(BackboneFinetuning(), finetuning({}))


def test_a_score_is_no_text_and_not_undefined() -> None:
    callback = EarlyStopping("val/loss")
    with pytest.raises(ValueError, match=r"`callbacks\.EarlyStopping\.best_score` is None, not a number"):
        progress(callback, {**callback.state_dict(), "best_score": None})
    with pytest.raises(ValueError, match=r"`callbacks\.EarlyStopping\.best_score` is a tensor, not a number"):
        progress(callback, {**callback.state_dict(), "best_score": torch.tensor(1j)})


def test_scores_of_checkpoints_are_numbers(tmp_path: Path) -> None:
    callback = ModelCheckpoint(str(tmp_path))
    state = {**callback.state_dict(), "best_k_models": {f"{tmp_path}/a.ckpt": "0.5"}}
    with pytest.raises(ValueError, match=r"`callbacks\.ModelCheckpoint\.best_k_models` holds '0\.5', not a number"):
        progress(callback, state)


@pytest.mark.parametrize("is_moved", [True, False])
@pytest.mark.parametrize("key", ["best_model_path", "kth_best_model_path", "last_model_path", "best_k_models"])
@pytest.mark.parametrize("file", ["elsewhere/id_rsa", "elsewhere/x.ckpt", "{folder}/../../elsewhere/x.ckpt"])
def test_a_checkpoint_names_no_file_outside_its_folder(
    file: str, key: str, is_moved: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Lightning removes such a file once there is a better one; the best one is copied with its run."""
    run = tmp_path / "run" / "checkpoints"
    former = tmp_path / "former" / "checkpoints" if is_moved else run
    secret = str(tmp_path / file.format(folder=former.relative_to(tmp_path)))
    kept = {secret: torch.tensor(0.9)} if key == "best_k_models" else {}
    callback = ModelCheckpoint(str(run))
    state = {**callback.state_dict(), "dirpath": str(former), "best_k_models": kept}
    state |= {} if kept else {key: secret}
    checkpoint = {"callbacks": {callback.state_key: state}}
    trainer: Any = SimpleNamespace(callbacks=[callback], training=True)
    (tmp_path / "elsewhere").mkdir()
    for name in ("id_rsa", "x.ckpt"):
        (tmp_path / "elsewhere" / name).write_text("secret")
    with caplog.at_level(logging.WARNING):
        ResumedRun(tmp_path / "run", RunSettings({}, {})).on_load_checkpoint(trainer, pl.LightningModule(), checkpoint)
    assert "secret" not in str(checkpoint)
    assert "elsewhere" not in str({**checkpoint["callbacks"][callback.state_key], "dirpath": ""})
    assert not run.exists()
    assert "the best checkpoint is chosen from here on" in caplog.text


@pytest.mark.parametrize("folder", [None, 7, "gone", "", "/", "checkpoints", "{run}/", "{run}/../checkpoints"])
def test_a_checkpoint_that_names_no_folder_names_no_files(folder: object, tmp_path: Path) -> None:
    """Lightning would take such a state for one of the callback's own folder, and remove what it names."""
    run = tmp_path / "checkpoints"
    run.mkdir()
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    callback = ModelCheckpoint(str(run), monitor="x")
    named = f"{run}/../secret.txt"
    state = {**callback.state_dict(), "best_model_path": named, "best_k_models": {named: torch.tensor(9.0)}}
    if folder == "gone":
        del state["dirpath"]
    else:
        state["dirpath"] = folder.format(run=run) if isinstance(folder, str) else folder
    checkpoint = {"callbacks": {callback.state_key: state}}
    trainer: Any = SimpleNamespace(callbacks=[callback], training=True)
    ResumedRun(tmp_path, RunSettings({}, {})).on_load_checkpoint(trainer, pl.LightningModule(), checkpoint)
    restored = checkpoint["callbacks"][callback.state_key]
    assert "secret" not in str({**restored, "dirpath": ""})
    assert restored["dirpath"] == callback.dirpath


def test_the_last_checkpoint_may_be_a_link_to_another(tmp_path: Path) -> None:
    best = tmp_path / "epoch=1.ckpt"
    content = save_small(best)
    (tmp_path / "last.ckpt").symlink_to(best.name)
    for save_last, kept in (("link", str(best)), (True, "")):
        callback = ModelCheckpoint(str(tmp_path), filename="{epoch}", save_last=save_last)  # type: ignore[arg-type]
        callback.last_model_path = f"{tmp_path}/last.ckpt"
        assert resume(tmp_path, callback, content, best, tmp_path) == kept


@pytest.mark.parametrize("name", ["sub/best.ckpt", "best.ckpt", "epoch_001.ckpt", "notes.ckpt", "last.ckpt"])
def test_a_best_checkpoint_is_no_link_and_none_of_another_name(name: str, tmp_path: Path) -> None:
    folder, other = tmp_path / "checkpoints", tmp_path / "other"
    folder.mkdir()
    other.mkdir()
    (other / "best.ckpt").write_text("secret")
    (folder / "sub").symlink_to(other)
    (folder / "best.ckpt").symlink_to(other / "best.ckpt")
    callback = ModelCheckpoint(str(folder), filename="best")
    state = {**callback.state_dict(), "best_model_path": f"{folder}/{name}"}
    checkpoint = {"callbacks": {callback.state_key: state}}
    trainer: Any = SimpleNamespace(callbacks=[callback], training=True)
    ResumedRun(tmp_path, RunSettings({}, {})).on_load_checkpoint(trainer, pl.LightningModule(), checkpoint)
    assert checkpoint["callbacks"][callback.state_key]["best_model_path"] == ""


@pytest.mark.parametrize("count", [None, 1.0, -1, True, "1", 2**60])
@pytest.mark.parametrize("key", ["epoch", "global_step"])
def test_epochs_and_steps_are_counted(key: str, count: object) -> None:
    with pytest.raises(ValueError, match=rf"but its `{key}` is .*, not a number of epochs, batches or steps"):
        progress(BackboneFinetuning(), finetuning({}), **{key: count})


def save_small(path: Path, labels: Sequence[str] = ("A",)) -> dict[str, Any]:
    """Save a small model; returns the content of its checkpoint."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_classifier(ChestXRayClassifier(labels, backbone="densenet_micro", image_size=32), path)
    return read_checkpoint(str(path))


def resume(run: Path, callback: ModelCheckpoint, content: Mapping[str, Any], best: Path, folder: Path) -> str:
    """The best checkpoint by a callback's restored state; the saved one names `best` in `folder`."""
    kept = {str(best): torch.tensor(0.9)}
    paths = {
        "dirpath": str(folder),
        "best_model_path": str(best),
        "best_k_models": kept,
        "kth_best_model_path": str(best),
    }
    checkpoint = {**content, "callbacks": {callback.state_key: {**callback.state_dict(), **paths}}}
    trainer: Any = SimpleNamespace(callbacks=[callback], training=True)
    resumed, model = ResumedRun(run, RunSettings({}, {})), pl.LightningModule()
    files = sorted(run.rglob("*"))
    resumed.on_load_checkpoint(trainer, model, checkpoint)
    assert sorted(run.rglob("*")) == files  # what is refused later leaves nothing behind
    resumed.on_fit_start(trainer, model)
    state = checkpoint["callbacks"][callback.state_key]
    assert list(state["best_k_models"]) == [path for path in [state["best_model_path"]] if path]
    return str(state["best_model_path"])


CALLBACKS: tuple[Callable[[], pl.Callback], ...] = (
    lambda: EarlyStopping("val/loss"),
    lambda: Timer("00:01:00:00"),
    lambda: ModelCheckpoint("x", monitor="val/loss", filename="best"),
    lambda: LastCheckpoint("x"),
)


@pytest.mark.parametrize("make", CALLBACKS, ids=["early stopping", "timer", "model checkpoint", "last checkpoint"])
def test_any_altered_state_of_a_callback_is_refused_or_can_be_used(make: Callable[[], pl.Callback]) -> None:
    state, check = copy.deepcopy(make().state_dict()), progress_of(make())
    check(copy.deepcopy(state))
    for place in places(state):
        with pytest.raises(RestoredStateError, match=rf"`callbacks\.\w+(\.[\w.]+)?` has no '{place[-1]}'"):
            check(altered(state, place, remove))
    contents = [altered(state, place, replace_by(value)) for place in places(state) for value in VALUES]
    refused = 0
    for content in contents:
        try:
            check(content)
        except RestoredStateError:
            refused += 1
            continue
        is_exhausted(make(), content)
        with suppress(ValueError):  # of Lightning, which is told as an error of restoring
            make().load_state_dict(content)
    assert len(contents) / 3 < refused < len(contents)


def test_metrics_in_names_of_checkpoints_make_folders(tmp_path: Path) -> None:
    callback = ModelCheckpoint(str(tmp_path), filename="{epoch}-{val/loss:.2f}", monitor="val/loss")
    best = tmp_path / "epoch=1-val/loss=0.50.ckpt"
    assert resume(tmp_path, callback, save_small(best), best, tmp_path) == str(best)


@pytest.mark.parametrize("name", ["{epoch}", "{epoch}-{val/loss:.2f}"])
def test_paths_of_a_moved_run_follow_it(name: str, tmp_path: Path) -> None:
    former, run = tmp_path / "former" / "checkpoints", tmp_path / "run"
    best = former / f"{name.format(**{'epoch': 'epoch=1', 'val/loss': 0.5})}.ckpt"
    content = save_small(best)
    copied = run / "checkpoints" / best.relative_to(former)
    callback = ModelCheckpoint(str(run / "checkpoints"), filename=name)
    assert resume(run, callback, content, best, former) == str(copied)
    assert copied.read_bytes() == best.read_bytes()


def test_checkpoints_in_another_folder_than_the_runs_stay_there(tmp_path: Path) -> None:
    folder = tmp_path / "large" / "checkpoints"
    best = folder / "best.ckpt"
    callback = ModelCheckpoint(str(folder), filename="best")
    assert resume(tmp_path / "run", callback, save_small(best), best, folder) == str(best)


def test_a_copy_that_was_interrupted_is_made_again(tmp_path: Path) -> None:
    best, run = tmp_path / "former" / "best.ckpt", tmp_path / "run"
    content = save_small(best)
    run.mkdir()
    (run / "best.ckpt").write_bytes(best.read_bytes()[:100])
    callback = ModelCheckpoint(str(run), filename="best")
    assert resume(run, callback, content, best, best.parent) == f"{run}/best.ckpt"
    assert (run / "best.ckpt").read_bytes() == best.read_bytes()


@pytest.mark.parametrize("is_moved", [True, False])
@pytest.mark.parametrize("change", ["junk", "another model", "gone"])
def test_a_best_checkpoint_of_another_training_is_not_taken(
    change: str, is_moved: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = tmp_path / "run"
    former = (tmp_path / "former" if is_moved else run) / "checkpoints"
    best = former / "best.ckpt"
    content = save_small(best)
    best.unlink()
    if change == "junk":
        best.write_text("weights")
    elif change == "another model":
        save_small(best, ["A", "B"])
    assert resume(run, ModelCheckpoint(str(run / "checkpoints"), filename="best"), content, best, former) == ""
    words = "is not there any more" if change == "gone" else "is no checkpoint of this training"
    assert f"'{best}' {words}: the best checkpoint is chosen from here on" in caplog.text
    assert (run / "checkpoints").exists() != is_moved
