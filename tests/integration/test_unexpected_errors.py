"""A bug ends train.py and evaluate.py in one line, with its traceback in a file; Python gets the exception itself."""

import sys
from pathlib import Path
from typing import NoReturn

import pytest
from hydra.core.global_hydra import GlobalHydra

from cxr_lightning import evaluate, train
from cxr_lightning.app.evaluate import run_evaluate
from cxr_lightning.training.callbacks import StepSeeds
from tests.conftest import Run, assert_one_error_line


@pytest.fixture
def bug(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes runs with an even seed fail in the first step."""
    original = StepSeeds.on_train_batch_start

    def fail(self: StepSeeds, *arguments: object) -> None:
        if self.seed % 2 == 0:
            raise KeyError("a bug")
        original(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(StepSeeds, "on_train_batch_start", fail)


@pytest.mark.usefixtures("bug")
def test_a_bug_in_a_run_is_one_line_and_a_file(
    run: Run, small: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = [*small, "trainer.enable_progress_bar=false", "seed=2"]
    code, folder = run(*settings)
    assert code == 1
    output = capsys.readouterr()
    path = folder / "traceback.txt"
    assert_one_error_line(output.out, output.err, ["KeyError: 'a bug'", f"(unexpected; the traceback is in {path})"])
    assert "on_train_batch_start" in path.read_text()
    monkeypatch.setenv("CXR_TRACEBACK", "1")
    with pytest.raises(Exception, match="unexpected") as raised:
        run(*settings)
    assert isinstance(raised.value.__cause__, KeyError)
    with pytest.raises(KeyError, match="a bug"):
        train(*settings, f"paths.log_dir={folder}/python", f"paths.cache_dir={folder}/cache")


@pytest.mark.usefixtures("bug")
def test_a_bug_in_a_job_leaves_the_others_of_a_sweep(
    run: Run, small: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("-m", *small, "trainer.max_epochs=1", "seed=2,3")[0] == 1
    (folder,) = (tmp_path / "logs/train/multiruns").iterdir()
    assert [path.parent.name for path in folder.glob("*/summary.json")] == ["1"]
    assert (folder / "0/error.txt").read_text().startswith("KeyError: 'a bug' (unexpected; the traceback is in ")
    assert (folder / "0/traceback.txt").is_file()
    said = capsys.readouterr().err
    assert "job 0 failed: KeyError: 'a bug'" in said
    assert "Traceback" not in said


def test_a_bug_of_the_evaluation_is_one_line_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> NoReturn:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("cxr_lightning.app.evaluate_job.run_evaluation", fail)
    monkeypatch.setattr("cxr_lightning.app.evaluate_job.write_evaluation", fail)
    predictions = tmp_path / "theirs.csv"
    predictions.write_text("Image Index,Edema\na.png,0.5\n")
    settings = [f"predictions={predictions}", "data=phantom", f"paths.log_dir={tmp_path}/logs"]
    GlobalHydra.instance().clear()
    monkeypatch.setattr(sys, "argv", ["evaluate.py", *settings])
    with pytest.raises(SystemExit) as exit_:
        run_evaluate()
    assert exit_.value.code == 1
    output = capsys.readouterr()
    (path,) = tmp_path.rglob("traceback.txt")
    assert_one_error_line(output.out, output.err, ["ZeroDivisionError: a bug", str(path)])
    with pytest.raises(ZeroDivisionError, match="a bug"):
        evaluate(None, predictions=predictions, data="phantom")
