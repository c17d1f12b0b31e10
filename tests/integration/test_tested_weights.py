"""Which weights a run tests: none without a training step, and the last ones for a reason that is told."""

from pathlib import Path

import pytest

from cxr_lightning.training.callbacks import StepSeeds
from tests.conftest import Run, assert_one_error_line, history_of, summary_of


def test_initial_weights_are_not_tested_as_trained_ones(
    run: Run, small: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StepSeeds, "on_fit_start", lambda self, trainer, module: setattr(trainer, "should_stop", True))
    code, folder = run(*small)
    assert code == 1
    output = capsys.readouterr()
    assert_one_error_line("", output.err, ["ended before its first step", "`trainer.max_time`", "Timer"])
    assert "test AUROC" not in output.out
    assert not (folder / "summary.json").exists()


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (
            "trainer.max_epochs=3 trainer.check_val_every_n_epoch=3 +callbacks.model_checkpoint.every_n_epochs=2",
            "no best checkpoint was kept with these settings of `callbacks.model_checkpoint`",
        ),
        ("data.labels=[Cardiomegaly] trainer.max_epochs=1", "the monitored metric, val/auroc, was never defined"),
    ],
)
def test_why_the_last_checkpoint_is_tested_is_told(
    run: Run, small: list[str], capsys: pytest.CaptureFixture[str], overrides: str, reason: str
) -> None:
    code, folder = run(*small, *overrides.split())
    assert code == 0
    assert f"{reason}; using the last checkpoint" in capsys.readouterr().out
    summary = summary_of(folder)
    assert Path(summary["best_checkpoint"]).name == "last.ckpt"
    is_defined = history_of(folder)[-1]["val_auroc"] >= 0
    assert (summary["monitor"]["best"] is not None) == is_defined == ("never" not in reason)
