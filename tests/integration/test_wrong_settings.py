"""Wrong settings, typed as a user would: all in one line that names the remedy, before any data is made or read."""

import subprocess
import sys
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra

from cxr_lightning.app.evaluate import run_evaluate
from tests.conftest import Run, assert_one_error_line
from tests.slow_cases import one_in

MISSPELLED: dict[str, list[str]] = {
    "modle=resnet50": ["'modle'", "Did you mean 'model'?"],
    "model=resnet18": ["'resnet18'", "Did you mean 'resnet50'?", "Choices: convnext_base, "],
    "optimzer.lr=1": ["'optimzer'", "'optimizer'?"],
    "data=nhi": ["'nhi'", "'nih'?", "Choices: csv, nih, phantom, walkthrough."],
    "lr=0.01": ["Did you mean 'optimizer.lr'?"],
    "epochs=2": ["Did you mean 'trainer.max_epochs'?"],
    "workers=2": ["Did you mean 'data.num_workers'?"],
    "callbacks.mine._target_=x": ["'callbacks.mine'", "+callbacks.mine={_target_: ...}"],
    "--max_epochs=2": ["KEY=VALUE", "unrecognized arguments: --max_epochs=2"],
    "trainer=ddpp": ["'ddp'?", "Choices: auto, cpu, ddp, gpu."],
    "experiment=fulll": ["'full'?", "Choices: full, walkthrough."],
    "+trainer.enable_progress_bar=false": ["'trainer.enable_progress_bar=false'", "leave out the '+'"],
    "+experiment=full": ["'experiment=full'", "leave out the '+'"],
    "+experimnt=full": ["'experimnt'", "'experiment'?"],
    "debug=[fast,fats]": ["'fats'", "'fast'?"],
    "hydra/launcher=bsic": ["'basic'?", "--extra sweep"],
    "hydra/lancher=basic": ["'hydra/launcher'?"],
    "hydra.run.dri=x": ["'hydra.run.dir'?"],
    "model/resnet50=x": ["'model=resnet50'?"],
    "logger=null": ["'logger'", "Give logger=none."],
    "optimizer=NULL": ["'optimizer'", "Leave it out, or choose one. Choices: adam, "],
    "model=1.5": ["'model' but got model=1.5", "choose one"],
    "~paths": ["paths"],
    "~trainer": ["'trainer'", "Leave '~trainer' out"],
    "~scheduler": ["Leave '~scheduler' out"],
    "logger.csv.name=x": ["logger=csv as well"],
    "~callbacks.early_stoping": ["'callbacks.early_stopping'?"],
    "trainer.max_step=5": ["'+trainer.max_steps'?"],
    "trainer.max_steps=5": ["+trainer.max_steps=VALUE"],
    "optimizer.beta=[0.9,0.9]": ["'+optimizer.betas'?"],
    "seed.value=1": ["'seed' has no keys"],
    "trainer.max_epochs": ["trainer.max_epochs=VALUE"],
}
"""Overrides with a misspelled key or value, and words of their errors."""
MISSPELLED_IN_EVALUATE: dict[str, list[str]] = {
    "ckt=x.ckpt": ["'ckpt'?"],
    "data=nhi": ["'nih'?"],
    "gradcam.tp=1": ["'gradcam.top'?"],
    "data.labels=[a]": ["Choose the data as well"],
    "split=tets": ["'test'?"],
    "model=densenet121": ["'model'"],
    "trainer.devices=1": ["'trainer'"],
    "+data.labels=[Mass]": ["a choice of data beside 'data.labels'"],
    "ckpt=absent.ckpt split=tst root=absent": ["2 are wrong", "'absent.ckpt'", "Correct `ckpt`", "'test'?"],
    "predictions=absent.csv data=nih val_predictions=a.csv": ["'absent.csv'", "'a.csv'", "`val_predictions`"],
    "operating_points=[sensitivity@x,f2]": ["'sensitivity@x'", "'f2'"],
    "ckpt=latest save_calibrated=x.h5": ["`save_calibrated`", ".ckpt"],
}


def assert_refused(result: tuple[int, Path], capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    """Check that a run of train.py ended in one line before there was any data."""
    output = capsys.readouterr()
    assert result[0] == 1
    assert_one_error_line(output.out, output.err, words)
    assert "Config search path" not in output.err
    assert " base" not in output.err
    assert not list(result[1].rglob("cache"))


@pytest.mark.parametrize("override", one_in(3, MISSPELLED))
def test_a_misspelled_setting_gets_a_suggestion(run: Run, capsys: pytest.CaptureFixture[str], override: str) -> None:
    assert_refused(run(override), capsys, MISSPELLED[override])


@pytest.mark.parametrize("override", MISSPELLED_IN_EVALUATE)
def test_a_misspelled_setting_of_evaluate_gets_a_suggestion(
    override: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    GlobalHydra.instance().clear()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["evaluate.py", *override.split()])
    with pytest.raises(SystemExit):
        run_evaluate()
    output = capsys.readouterr()
    assert_one_error_line(output.out, output.err, MISSPELLED_IN_EVALUATE[override])


def test_a_name_that_is_near_to_no_other_gets_none_in_its_place(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    code = run("optimizer.learning_rate=0.1")
    line = capsys.readouterr().err
    assert code[0] == 1
    assert "Did you mean" not in line
    assert "optimizer.learning_rate" in line
    assert "lr" in line.partition("Known are")[2]
    run("trainer.max_times=3")
    assert "Did you mean '+trainer.max_time'?" in capsys.readouterr().err


def test_all_misspelled_settings_are_in_one_line(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = ["modle=resnet50", "data=nhi", "data.source.label_file=x.csv", "optimizer.lrr=1", "trainer=ddpp"]
    words = ["4 are wrong", "'model'?", "'nih'?", "'optimizer.lr'?", "'ddp'?"]
    assert_refused(run(*wrong), capsys, words)
    wrong = ["data.split=oficial", "optimizer.lr=fast", "seed=-1", "+experimnt=full", "loss.reduction=men"]
    assert_refused(run(*wrong), capsys, ["5 are wrong", "data.split", "optimizer.lr", "seed", "experimnt", "loss"])


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ("optimizer.lrr=1 seed=-1 monitor.name=val/los", ["3 are wrong", "'optimizer.lr'?", "`seed`", "'val/loss'?"]),
        ("trainer.max_epoch=3 +trainer.min_steps=0 model.drop_rate=x", ["3 are wrong", "min_steps", "drop_rate"]),
        ("optimizer.lrr=1 seed=${hydra:job.num}", ["error: Expected a known key but got 'optimizer.lrr'"]),
        ("data=nih data.rot=/x trainer.max_epochs=0", ["2 are wrong", "'data.root'?", "`trainer.max_epochs`"]),
        ("trainer=null logger=none callbacks=none", ["'trainer' but got trainer=null"]),
        ("~model seed=-3 data.batch_size=0", ["3 are wrong", "'~model'", "`seed`", "`data.batch_size`"]),
        ("optimizer=5 ~loss seed=-3", ["'optimizer' but got optimizer=5"]),
        ("resume=auto ckpt_path=x seed=-3", ["3 are wrong", "`seed`", "`ckpt_path` or `resume`", "'x'"]),
    ],
)
def test_misspelled_keys_are_told_with_wrong_values(
    overrides: str, words: list[str], run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert_refused(run(*overrides.split()), capsys, words)


@pytest.mark.parametrize("override", ["data.split=oficial", "optimizer.lr=fast", "modle=x", "seed=-1"])
def test_a_misspelled_setting_is_found_without_torch(override: str, tmp_path: Path) -> None:
    code = (
        "import sys; from cxr_lightning.app.train import run_train\n"
        "try: run_train()\n"
        "except SystemExit: print(sorted({'torch', 'pytorch_lightning', 'pandas'} & {*sys.modules}))"
    )
    command = [sys.executable, "-c", code, override, f"paths.log_dir={tmp_path}"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


CONTRADICTORY: dict[str, list[str]] = {
    "monitor.name=val/loss monitor.mode=max": ["min as 'monitor.mode' with val/loss"],
    "optimizer.lr=nan": ["`optimizer.lr` to be above 0 but got nan"],
    "hparams_search=optuna hydra.sweeper.direction=minimize": ["maximize as 'hydra.sweeper.direction' with val/auroc"],
    "hparams_search=optuna hydra.sweeper.direction=maximize monitor.name=val/loss": ["minimize", "mode min"],
    "-m hydra/sweeper=optuna": ["maximize as 'hydra.sweeper.direction' with val/auroc", "'minimize'"],
    "hparams_search=optuna hydra.sweeper.n_trials=x": ["hydra.sweeper.n_trials=x", "Integer"],
    "optimizer.lr=${oc.decode:${oc.env:LR}}": ["'optimizer.lr=\"${oc.decode:${oc.env:LR}}\"' instead"],
    "resume=auto ckpt_path=x": ["either `ckpt_path` or `resume`"],
    "data=nih data.root=absent": ["'absent' but there is none", "Set `data.root`"],
    "logger=none +logger=[tensorboard,csv]": ["'logger=[tensorboard,csv]'", "leave out the '+'"],
    "data.views=[LL]": ["['LL']", "['AP', 'PA']"],
    "+optimizer.betas=[2,0.9]": ["`optimizer` that AdamW", "beta"],
    "trainer.accelerator=gpuu": ["gpuu"],
    "+callbacks.x={_target_:pytorch_lightning.callbacks.BatchSizeFinder}": ["BatchSizeFinder", "`data.batch_size`"],
}
"""Overrides of each kind and words of their errors; tests/unit/app/test_config_check.py has all."""


@pytest.mark.parametrize("overrides", one_in(2, CONTRADICTORY))
def test_contradictory_settings_are_refused_before_data_is_made(
    run: Run, capsys: pytest.CaptureFixture[str], overrides: str
) -> None:
    assert_refused(run(*overrides.split()), capsys, CONTRADICTORY[overrides])


def test_five_problems_are_in_one_line(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = ["monitor.name=val_loss", "optimizer.lr=-1", "data.batch_size=0", "trainer.max_epochs=0", "seed=-1"]
    words = ["5 are wrong", "'val/loss'?", "`optimizer.lr`", "`data.batch_size`", "`trainer.max_epochs`", "`seed`"]
    assert_refused(run(*wrong), capsys, words)
    wrong = ["+optimizer.betas=[2,0.9]", "data.subset_images=[1]", "trainer.devices=x", "scheduler.warmup=0.1"]
    words = ["3 are wrong", "beta", "data.subset_images", "`trainer.devices` (x)"]
    assert_refused(run(*wrong), capsys, words)
