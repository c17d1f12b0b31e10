"""What a library refuses ends in one line with its key: before data is read, or in a hook of a part."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.conftest import SMALL, Run, assert_one_error_line
from tests.slow_cases import one_in

CASES: dict[str, tuple[Sequence[str], Sequence[str]]] = {
    "a part": (["optimizer=sgd", "optimizer.momentum=0"], ["`optimizer` that SGD", "Nesterov momentum"]),
    "strategy": (["trainer.strategy=dpp"], ["`trainer.strategy`", "Did you mean 'ddp'?"]),
    "devices": (["trainer.devices=x"], ["CPUAccelerator", "Correct `trainer.devices` (x)."]),
    "time": (["+trainer.max_time=nonsense"], ["DD:HH:MM:SS", "Correct `trainer.max_time` (nonsense)."]),
    "part of a time": (["+trainer.max_time={minuts: 1}"], ["Correct `trainer.max_time` ({minuts:1})."]),
    "words": (
        [
            "trainer.accelerator=GPU",
            "trainer.profiler=xla",
            "+trainer.gradient_clip_algorithm=nrom",
            "trainer.gradient_clip_val=1",
        ],
        ["3 are wrong", "Did you mean 'gpu'?", "advanced, pytorch as `trainer.profiler`", "Did you mean 'norm'?"],
    ),
    "all at once": (
        [
            "trainer.accelerator=tpu",
            "optimizer=sgd",
            "optimizer.momentum=0",
            "+logger.mine={_target_: pytorch_lightning.loggers.TensorBoardLogger}",
            "+callbacks.mine={_target_: pytorch_lightning.callbacks.ModelPruning, pruning_fn: l1_unstructured}",
        ],
        ["4 are wrong", "`trainer` needs", "torch_xla", "`optimizer.momentum`", "`logger.mine`", "ModelPruning"],
    ),
    "no class": (
        ["trainer._target_=null", "loss._target_=none"],
        ["2 are wrong", "'trainer._target_' but got null. Name one", "'loss._target_' but got 'none'. Name one"],
    ),
}
"""tests/unit/app/test_config_check.py has more of the parts."""


@pytest.mark.parametrize("name", CASES)
def test_a_refused_setting_ends_in_one_line_before_data_is_read(
    run: Run, name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    overrides, words = CASES[name]
    assert run(*SMALL, f"data.root={tmp_path}", *overrides)[0] == 1
    output = capsys.readouterr()
    assert_one_error_line(output.out, output.err, words)
    assert "CXR_PLUGINS=" not in output.err


def callback(call: str) -> str:
    return f"+callbacks.mine={{_target_: pytorch_lightning.callbacks.{call}}}"


HOOKS: dict[str, tuple[Sequence[str], Sequence[str]]] = {
    "setup": ([callback("WeightAveraging, foo: x")], ["WeightAveraging", "Correct `callbacks.mine.foo` (x)."]),
    "start": ([callback("ModelSummary, max_depth: -3")], ["Correct `callbacks.mine.max_depth` (-3)."]),
    "epoch": ([callback("BackboneFinetuning, unfreeze_backbone_at_epoch: -1")], ["`callbacks.mine` that Backbone"]),
    "attribute": ([callback("LearningRateFinder, attr_name: foo")], ["Correct `callbacks.mine.attr_name` (foo)."]),
    "a training in a hook": ([callback("LearningRateFinder, min_lr: 0")], ["`callbacks.mine` that LearningRateFinder"]),
    "step": (
        ["optimizer._target_=torch.optim.SparseAdam", "~optimizer.weight_decay", "~optimizer.fused"],
        ["`optimizer` that SparseAdam", "dense gradients"],
    ),
    "logger": (
        ["logger=tensorboard", "+logger.tensorboard.log_grph=true"],
        ["Correct `logger.tensorboard.log_grph` (true)."],
    ),
    "trainer": (["+trainer.reload_dataloaders_every_n_epochs=-1"], ["Correct `trainer.reload_dataloaders_every_n"]),
}


@pytest.mark.parametrize("name", one_in(2, HOOKS))
def test_a_setting_that_is_refused_in_a_hook_ends_in_one_line(
    run: Run, small: list[str], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides, words = HOOKS[name]
    given = {text.partition("=")[0] for text in overrides}
    assert run(*(text for text in small if text.partition("=")[0] not in given), *overrides)[0] == 1
    output = capsys.readouterr()
    line = output.err.partition("error: ")[2].strip()  # behind the bar of LearningRateFinder
    assert line.startswith("Expected settings of `")
    assert "\n" not in line
    assert [word for word in words if word not in line] == []
    assert "Traceback" not in output.out + output.err
