"""Runs that do not fit their data are refused once that is known, before a step is made."""

from pathlib import Path

import pytest

from tests.conftest import Run, assert_one_error_line, summary_of
from tests.slow_cases import one_in

CALLBACK = "+callbacks.added={_target_:pytorch_lightning.callbacks"
BEST = "+callbacks.best={_target_:cxr_lightning.training.callbacks.BestCheckpoint"
REFUSED: dict[str, list[str]] = {
    "+trainer.max_steps=3": [
        "val/auroc, which 'callbacks.model_checkpoint' and 'callbacks.early_stopping' monitor",
        "'trainer.max_steps=3' ends",
        "Raise 'trainer.max_steps' to 4",
        "'+trainer.val_check_interval=3'",
    ],
    "trainer.check_val_every_n_epoch=2 +trainer.max_steps=5": [
        "after 8 batches",
        "'+trainer.val_check_interval=5 trainer.check_val_every_n_epoch=null'",
    ],
    "trainer.accumulate_grad_batches=3 +trainer.max_steps=1": ["to 2 or more", "'+trainer.val_check_interval=3'"],
    "callbacks=minimal callbacks.model_checkpoint=null scheduler=plateau +trainer.max_steps=1": [
        "which 'scheduler' monitors",
        "ends the training",
    ],
    "trainer.check_val_every_n_epoch=null +trainer.val_check_interval=9": ["is 9", "has 8 batches in all"],
    "+trainer.val_check_interval=5": ["an epoch of 4 batches", "is 5", "'trainer.check_val_every_n_epoch=null'"],
    "monitor.name=val/auroc/Pneumonia": ["'monitor.name=val/auroc/Pneumonia'", "0 positives and 16 negatives among"],
    "monitor.name=val/auroc/Cardiomegaly": ["0 positives and 8 negatives among the validation images"],
    f"{CALLBACK}.EarlyStopping,monitor:val/auroc/Hernia,mode:max}}": ["'callbacks.added' (val/auroc/Hernia)"],
    f"{CALLBACK}.EMAWeightAveraging,update_starting_at_step:8}}": [
        "8 steps",
        "`callbacks.added.update_starting_at_step` is 8",
    ],
    f"{CALLBACK}.EMAWeightAveraging,update_every_n_steps:8}} monitor.name=val/auroc/Edema": [
        "`callbacks.added.update_every_n_steps` is 8",
        "val/auroc/Edema",
    ],
    "+callbacks.model_checkpoint.every_n_train_steps=9": ["`callbacks.model_checkpoint.every_n_train_steps` is 9"],
    f"callbacks.model_checkpoint=null {BEST},monitor:val/auroc,mode:max,every_n_train_steps:9}}": [
        "8 steps",
        "`callbacks.best.every_n_train_steps` is 9",
    ],
    "trainer.limit_val_batches=0.1": ["batch of val images", "'trainer.limit_val_batches=0.1' of 2 leaves none"],
}
"""Settings of two epochs of four batches, and words of their errors."""
LONG_ENOUGH = (
    "+trainer.max_steps=3 +trainer.val_check_interval=3",
    "trainer.check_val_every_n_epoch=null +trainer.max_steps=5 +trainer.val_check_interval=5",
    "trainer.accumulate_grad_batches=3 +trainer.max_steps=2",
)
"""What the errors advise."""


@pytest.mark.parametrize("overrides", one_in(3, REFUSED))
def test_a_run_that_does_not_fit_its_data_is_refused_before_it_begins(
    run: Run, small: list[str], capsys: pytest.CaptureFixture[str], overrides: str
) -> None:
    code, folder = run(*small, *overrides.split())
    assert code == 1
    output = capsys.readouterr()
    assert_one_error_line("", output.err, REFUSED[overrides])
    assert not (folder / "checkpoints").exists()
    assert not (folder / "history.csv").exists()


@pytest.mark.parametrize("overrides", LONG_ENOUGH)
def test_a_training_as_long_as_advised_has_a_best_checkpoint(run: Run, small: list[str], overrides: str) -> None:
    code, folder = run(*small, *overrides.split())
    assert code == 0
    assert Path(summary_of(folder)["best_checkpoint"]).name == "best.ckpt"
