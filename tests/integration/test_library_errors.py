"""A setting that a library refuses ends in one line with its key, before data is read where that is possible."""

from collections.abc import Sequence

import pytest

from tests.conftest import SMALL, Run, assert_one_error_line

OPTIMIZERS, SCHEDULES = "torch.optim", "torch.optim.lr_scheduler"
CALLBACKS, LOGGERS = "pytorch_lightning.callbacks", "pytorch_lightning.loggers"


def another(group: str, target: str, arguments: str = "") -> list[str]:
    """The settings that replace a factory by another one."""
    return [f"~{group}", f"+{group}={{_target_: {target}, _partial_: true{arguments}}}"]


def callback(name: str, arguments: str) -> list[str]:
    """The setting that adds a callback of Lightning."""
    return [f"+callbacks.mine={{_target_: {CALLBACKS}.{name}, {arguments}}}"]


CASES: dict[str, tuple[Sequence[str], Sequence[str]]] = {
    "rate below 0": (["optimizer.lr=-1"], ["`optimizer`", "AdamW", "Invalid learning rate: -1"]),
    "no momentum": (["optimizer=sgd", "optimizer.momentum=0"], ["`optimizer`", "Nesterov momentum"]),
    "no such argument": (["+optimizer.foo=1"], ["'optimizer.foo'"]),
    "a base class": (another("optimizer", f"{OPTIMIZERS}.Optimizer"), ["`optimizer`", "'defaults'"]),
    "for matrices": (another("optimizer", f"{OPTIMIZERS}.Muon"), ["`optimizer`", "Muon"]),
    "no max_lr": (another("scheduler", f"{SCHEDULES}.OneCycleLR"), ["`scheduler`", "OneCycleLR", "'max_lr'"]),
    "no step_size": (another("scheduler", f"{SCHEDULES}.StepLR"), ["`scheduler`", "StepLR", "'step_size'"]),
    "factor": (["scheduler=plateau", "scheduler.factor=2"], ["`scheduler`", "Factor should be < 1.0"]),
    "strategy": (["trainer.strategy=nonsense"], ["`trainer`", "strategy='nonsense'"]),
    "accelerator": (["trainer.accelerator=nonsense"], ["`trainer`", "accelerator='nonsense'"]),
    "tpu": (["trainer.accelerator=tpu"], ["`trainer`", "torch_xla", "Install it"]),
    "no devices": (["trainer.devices=0"], ["`trainer`", "Trainer(devices=0)"]),
    "clipping": (["+trainer.gradient_clip_algorithm=abc"], ["`trainer`", "gradient_clip_algorithm"]),
    "time": (["+trainer.max_time=nonsense"], ["`trainer`", "DD:HH:MM:SS"]),
    "epochs": (["trainer.max_epochs=-5"], ["`trainer`", "`max_epochs`", "-5"]),
    "profiler": (["trainer.profiler=nonsense"], ["`trainer`", "`profiler`"]),
    "timer": (callback("Timer", "duration: nonsense"), ["`callbacks.mine`", "Timer", "DD:HH:MM:SS"]),
    "average": (callback("StochasticWeightAveraging", "swa_lrs: 1"), ["`callbacks.mine`", "`swa_lrs`"]),
    "mode": (callback("EarlyStopping", "monitor: val/loss, mode: up"), ["`callbacks.mine`", "`mode`", "up"]),
    "epoch": (callback("GradientAccumulationScheduler", "scheduling: {-1: 4}"), ["`callbacks.mine`", "Epoch"]),
    "no folder": (callback("OnExceptionCheckpoint", "filename: x"), ["`callbacks.mine`", "'dirpath'"]),
    "no package": ([f"+logger.mine={{_target_: {LOGGERS}.CometLogger}}"], ["`logger.mine`", "comet", "Install it"]),
}


@pytest.mark.parametrize("name", CASES)
def test_a_refused_setting_ends_in_one_line_before_data_is_read(
    run: Run, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides, words = CASES[name]
    assert run(*SMALL, "data.root=absent", *overrides)[0] == 1
    output = capsys.readouterr()
    assert_one_error_line(output.out, output.err, words)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["~loss", "+loss={_target_: torch.nn.Linear}"], ["`loss`", "Linear", "'in_features'"]),
        (["monitor.name=val/nonsense"], ["Lightning", "`val/nonsense`", "`val/auroc`"]),
        (
            ["callbacks.early_stopping=null", "monitor.name=val/nonsense"],
            ["Lightning", "'val/nonsense'", "'val/auroc'"],
        ),
    ],
)
def test_one_that_only_a_run_finds_ends_in_one_line_too(
    run: Run, small: list[str], overrides: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*small, *overrides)[0] == 1
    output = capsys.readouterr()
    assert_one_error_line(output.out, output.err, words)
