"""A record is never destroyed, and "is it the same run?" has one answer: through the commands."""

import hashlib
import json
import shutil
from fnmatch import fnmatch
from pathlib import Path

import pytest
import torch

import cxr_lightning.app.train_program
from cxr_lightning.app.configuration import compose_settings
from cxr_lightning.app.run_identity import settings_of
from cxr_lightning.app.train import run_train
from cxr_lightning.app.train_job import TrainingOutcome
from cxr_lightning.training.run_folder import locked_run_folder
from cxr_lightning.training.run_settings import write_settings
from cxr_lightning.utils.file_names import REPORT_FILES, RUN_FILES, START_FILES
from tests.conftest import Die, Run, died, history_of, newest, start, summary_of

NEVER_BETTER = (
    "model.freeze_backbone=true",
    "monitor.name=train/loss",
    "+optimizer.maximize=true",
    "optimizer.lr=0.01",
)
"""The loss rises for certain, so that the first epoch stays the best."""


def content_of(folder: Path) -> dict[str, str]:
    """The sha256 of every file; the log and the lock may change."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name not in ("train.log", ".lock"))
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, str | None]]:
    """The folder and the checkpoint of every run that starts; nothing is trained."""
    calls: list[tuple[Path, str | None]] = []

    def job(config: object, settings: object, folder: Path, ckpt_path: str | None) -> TrainingOutcome:
        calls.append((folder, ckpt_path))
        return TrainingOutcome(None, None, folder)

    monkeypatch.setattr(cxr_lightning.app.train_job, "run_training", job)
    return calls


def test_a_checkpoint_is_tested_in_a_folder_of_its_own(
    run: Run, small: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    _, folder = run(*small, *NEVER_BETTER)
    before = content_of(folder)
    best = folder / "checkpoints/best.ckpt"
    code, tested = run(*small, *NEVER_BETTER, "train=false", f"ckpt_path={best}")
    assert code == 0
    assert tested != folder
    assert content_of(folder) == before
    summary = summary_of(tested)
    assert (summary["best_checkpoint"], summary["monitor"]["best"], summary["train_loss"]) == (str(best), None, [])
    assert summary["test"] == summary_of(folder)["test"]
    assert "never defined" not in capsys.readouterr().out
    last = folder / "checkpoints/last.ckpt"
    last.write_bytes(last.read_bytes()[:1000])
    shutil.copy(best, last.with_name("previous.ckpt"))
    assert run(*small, *NEVER_BETTER, "train=false", f"ckpt_path={last}")[0] == 1  # no other file in its place


def test_a_used_folder_is_refused_and_left_as_it_is(
    run: Run, small: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short = [*small, "trainer.max_epochs=1"]
    _, folder = run(*short)
    before = content_of(folder)
    there = f"hydra.run.dir={folder}"
    last, best = (folder / "checkpoints" / name for name in ("last.ckpt", "best.ckpt"))
    capsys.readouterr()
    for change, words in {
        (there, "seed=2"): ["holds a run", "summary.json", "hydra.run.dir", "resume=auto"],
        (there, "seed=2", "resume=auto"): ["these differ: seed (1 in that run, 2 now)"],
        (there, "train=false", f"ckpt_path={best}"): ["holds a run"],
        (there, f"ckpt_path={best}", "trainer.max_epochs=2"): ["holds a run"],
        (there, f"model.weights={best}"): ["holds a run"],
        (f"ckpt_path={last}", "optimizer.lr=0.5", "optimizer=sgd"): ["optimizer (torch", "AdamW", "model.weights="],
        (f"ckpt_path={last}", "scheduler=plateau"): ["scheduler (cxr_lightning.models.schedules.cosine in that run"],
        (f"ckpt_path={last}", "data.batch_size=2", "loss=bce"): ["data.batch_size (4 in that run, 2 now)", "loss"],
    }.items():
        assert run(*short, *change)[0] == 1, change
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        assert error.count("\n") == 1
        assert all(word in error for word in words), error
        assert content_of(folder) == before, change


@pytest.mark.slow
def test_the_summary_stays_until_the_resumed_training_has_started(
    run: Run, own_small: list[str], capsys: pytest.CaptureFixture[str], die: Die
) -> None:
    _, folder = run(*own_small)
    before = content_of(folder)
    more = ["trainer.max_epochs=3", f"ckpt_path={folder}/checkpoints/last.ckpt"]
    data = next(setting for setting in own_small if setting.startswith("data.root=")).partition("=")[2]
    moved = Path(data).rename(f"{data}-away")
    assert run(*own_small, *more)[0] == 1
    moved.rename(data)
    new = content_of(folder)
    assert {name: new[name] for name in before} == before
    assert {name.partition("/")[0] for name in new.keys() - before.keys()} == {".hydra_2"}
    die(2, 1)
    died(run, *own_small, *more)
    assert not (folder / "summary.json").exists()
    assert run(*own_small, "trainer.max_epochs=3", "resume=auto") == (0, folder)
    assert len(history_of(folder)) == 3
    assert content_of(folder)[".hydra/overrides.yaml"] == before[".hydra/overrides.yaml"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "how",
    [
        "moved",
        *(pytest.param(how, marks=pytest.mark.slow) for how in ("copied", "last.ckpt alone")),
        "last.ckpt alone, the run is gone",
    ],
)
def test_the_best_checkpoint_of_a_moved_run_stays_the_best(
    run: Run, small: list[str], tmp_path: Path, how: str
) -> None:
    settings = [*small, *NEVER_BETTER]
    _, folder = run(*settings)
    best = torch.load(folder / "checkpoints/best.ckpt", weights_only=True)
    score = summary_of(folder)["monitor"]["best"]
    place = tmp_path / "place" / folder.name
    place.parent.mkdir()
    if how.startswith("last"):
        place = tmp_path / "new"
        (tmp_path / "kept").mkdir()
        last = Path(shutil.copy(folder / "checkpoints/last.ckpt", tmp_path / "kept"))
        if how.endswith("gone"):
            shutil.rmtree(folder)
    else:
        (shutil.move if how == "moved" else shutil.copytree)(folder, place)
        last = place / "checkpoints/last.ckpt"
    here = () if "alone" not in how else (f"hydra.run.dir={place}",)
    code, _ = run(*settings, "trainer.max_epochs=4", f"ckpt_path={last}", *here)
    assert code == 0
    summary = summary_of(place)
    after = torch.load(place / "checkpoints/best.ckpt", weights_only=True)
    assert Path(summary["best_checkpoint"]) == place / "checkpoints/best.ckpt"
    assert len(history_of(place)) == 4
    if how.endswith("gone"):  # the best of what is left
        assert after["epoch"] == 2
        assert summary["monitor"]["best"] > score
    else:
        assert after["epoch"] == best["epoch"] == 0
        assert summary["monitor"]["best"] == score


def test_what_does_not_change_the_learning_never_starts_over(
    run: Run,
    small: list[str],
    die: Die,
    started: list[tuple[Path, str | None]],
    tmp_path: Path,
) -> None:
    folder = begin(tmp_path, run, small)
    for change in (
        ["data.num_workers=1", "paths.cache_dir=elsewhere", "test=false", "trainer.enable_model_summary=true"],
        ["logger=csv", "callbacks.last_checkpoint.every_minutes=1", "callbacks.snapshots.every_n_epochs=2"],
        ["trainer.max_epochs=9", "callbacks.early_stopping.patience=20", "+trainer.max_time=01:00:00:00"],
    ):
        assert run(*small, *change, "resume=auto")[0] == 0
        assert started.pop() == (folder, str(folder / "checkpoints/last.ckpt")), change


def begin(tmp_path: Path, run: Run, settings: list[str]) -> Path:
    """The folder of a run that has saved its checkpoint and recorded its settings, and was killed then."""
    folder = tmp_path / "logs/train/runs/unfinished"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints/last.ckpt").touch()
    write_settings(folder, settings_of(compose_settings("train", settings)))
    return folder


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (["optimizer=sgd"], "optimizer (torch.optim.AdamW in that run, torch.optim.SGD now)"),
        (["trainer.precision=bf16-mixed"], "trainer.precision (32-true in that run, bf16-mixed now)"),
    ],
)
def test_what_changes_it_starts_a_new_run_and_is_named(
    run: Run,
    small: list[str],
    started: list[tuple[Path, str | None]],
    tmp_path: Path,
    change: list[str],
    named: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = begin(tmp_path, run, [*small, "trainer.precision=32-true"])
    assert run(*small, "trainer.precision=32-true", *change, "resume=auto")[0] == 0
    ((new, checkpoint),) = started
    assert (new != folder, checkpoint) == (True, None)
    said = capsys.readouterr().out
    assert f"the unfinished run '{folder}' differs: " in said
    assert named in said


@pytest.mark.slow
def test_a_finished_run_goes_on_for_as_long_as_is_set_now(
    run: Run,
    small: list[str],
    started: list[tuple[Path, str | None]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = begin(tmp_path, run, [*small, "+trainer.max_time=00:01:00:00"])
    (folder / "summary.json").touch()
    for more in (["trainer.max_epochs=3"], ["callbacks.early_stopping.patience=9"], ["callbacks.early_stopping=null"]):
        assert run(*small, "+trainer.max_time=00:01:00:00", *more, "resume=auto")[0] == 0
        assert started.pop() == (folder, str(folder / "checkpoints/last.ckpt")), more
    assert run(*small, "+trainer.max_time=00:02:00:00", "resume=auto")[0] == 0
    assert started.pop()[0] == folder
    capsys.readouterr()
    for less in ("trainer.max_epochs=2", "trainer.max_epochs=1"):
        assert run(*small, "+trainer.max_time=00:01:00:00", less, "resume=auto")[0] == 0
        assert started.pop()[1] is None
        assert f"starting a new run: the run '{folder}' of the same settings has finished" in capsys.readouterr().out


def test_a_run_and_a_report_never_share_a_folder(
    run: Run,
    evaluate: Run,
    small: list[str],
    started: list[tuple[Path, str | None]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, report = begin(tmp_path, run, small), tmp_path / "report"
    report.mkdir()
    (report / "metrics.json").touch()
    (folder / "metrics.csv").touch()  # of Lightning's CSVLogger without a name, in the run's folder
    before = content_of(folder)
    assert evaluate("ckpt=latest", f"hydra.run.dir={folder}")[0] == 1
    assert "there is a report in it, " in capsys.readouterr().err
    (folder / "metrics.csv").unlink()
    assert evaluate("ckpt=latest", f"hydra.run.dir={folder}")[0] == 1
    assert "holds a run's files (checkpoints/last.ckpt, settings.json), which are not" in capsys.readouterr().err
    (folder / "metrics.csv").touch()
    assert content_of(folder) == before
    assert run(*small, "resume=auto", f"hydra.run.dir={folder}")[0] == 0
    assert started.pop() == (folder, str(folder / "checkpoints/last.ckpt"))
    assert run(*small, f"hydra.run.dir={report}")[0] == 1
    assert "there is a report in it" in capsys.readouterr().err
    assert [path.name for path in report.iterdir()] == ["metrics.json"]


def test_the_lists_of_files_are_what_a_run_and_a_report_leave(evaluate: Run, small: list[str], tmp_path: Path) -> None:
    more = ["logger=tensorboard", "+logger.csv._target_=pytorch_lightning.loggers.CSVLogger", "trainer.max_epochs=1"]
    more += ["+logger.csv.save_dir=${paths.output_dir}", "+logger.csv.name=csv", "+logger.csv.version=''"]
    more += ["model.preprocessing=featurewise", "callbacks.snapshots.every_n_epochs=1"]
    assert start(run_train, tmp_path, *[text for text in small if text != "logger=none"], *more) == 0
    code, report = evaluate("ckpt=latest", "gradcam.top=1", "gradcam.sanity=0")
    assert code == 0
    for folder, known in ((newest("logs/train/runs/*", tmp_path), RUN_FILES), (report, REPORT_FILES)):
        names = [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]
        patterns = (*known, *START_FILES, ".hydra/*", "*.log", "*.lock")
        assert [name for name in names if not any(fnmatch(name, pattern) for pattern in patterns)] == []
        assert any(name.startswith("tensorboard/") for name in names)


@pytest.mark.parametrize("program", ["train", "evaluate"])
def test_files_of_somebody_are_a_reason_to_refuse(
    run: Run, evaluate: Run, small: list[str], tmp_path: Path, program: str, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {
        "train": [
            "settings.json",
            "loss_curve.png",
            "left_out.csv",
            "nonfinite_batch.csv",
            "tensorboard/x",
            "error.txt",
        ],
        "evaluate": ["metrics.csv", "figures/roc.png", "gradcam/x.png", "traceback.txt"],
    }
    for number, name in enumerate(names[program]):
        file = tmp_path / str(number) / name
        file.parent.mkdir(parents=True)
        file.touch()
        there = f"hydra.run.dir={tmp_path / str(number)}"
        resume = [] if number % 2 else ["resume=auto"]
        assert (run(*small, there, *resume) if program == "train" else evaluate("ckpt=x.ckpt", there))[0] == 1
        assert name in capsys.readouterr().err
        assert [path for path in (tmp_path / str(number)).rglob("*") if path.is_file()] == [file]


def test_a_start_that_failed_is_no_reason_to_refuse(
    run: Run, evaluate: Run, small: list[str], started: list[tuple[Path, str | None]], tmp_path: Path
) -> None:
    for code, place in ((1, tmp_path / "run"), (0, tmp_path / "run")):
        change = ["optimizer.lr=-1", "seed=2"] if code else []
        assert run(*small, *change, f"hydra.run.dir={place}")[0] == code
    assert started.pop() == (place, None)
    assert "seed=2" in (place / ".hydra/overrides.yaml").read_text()
    assert "seed=2" not in (place / ".hydra_2/overrides.yaml").read_text()
    for record in ("", "_2"):
        assert evaluate("ckpt=absent.ckpt", f"seed={len(record)}", f"hydra.run.dir={tmp_path / 'report'}")[0] == 1
        assert f"seed={len(record)}" in (tmp_path / f"report/.hydra{record}/overrides.yaml").read_text()


def test_nothing_is_written_where_another_process_works(
    run: Run, evaluate: Run, small: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "sweep/0"
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra/overrides.yaml").write_text("- seed=1\n")
    before = content_of(tmp_path / "sweep")
    there = f"hydra.run.dir={folder}"
    job = ["resume=auto", f"hydra.sweep.dir={tmp_path / 'sweep'}", "hydra.sweep.subdir='0'"]
    with locked_run_folder(folder):
        for settings in ((there, "seed=2"), (there, "resume=auto"), ("-m", *job, "seed=1")):
            assert run(*settings[:1], *small, *settings[1:])[0] == 1
            assert f"another process works in '{folder}'" in capsys.readouterr().err
        assert evaluate("ckpt=x.ckpt", there)[0] == 1
        assert f"another process works in '{folder}'" in capsys.readouterr().err
    after = content_of(tmp_path / "sweep")
    assert {name for name in after if not name.startswith(("multirun", "leaderboard", "0/train.log"))} == set(before)
    assert {name: after[name] for name in before} == before


@pytest.mark.slow
def test_more_patience_goes_on_after_early_stopping(
    run: Run, small: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    settings = [*small, *NEVER_BETTER, "trainer.max_epochs=9"]
    _, folder = run(*settings, "callbacks.early_stopping.patience=2")
    assert len(history_of(folder)) == 3
    on = [*settings, f"ckpt_path={folder}/checkpoints/last.ckpt"]
    capsys.readouterr()
    assert run(*on, "callbacks.early_stopping.patience=2")[0] == 1
    assert "stopped early after 3. Raise `callbacks.early_stopping.patience`" in capsys.readouterr().err
    assert run(*on, "callbacks.early_stopping.patience=4") == (0, folder)
    assert len(history_of(folder)) == 5
    assert run(*on, "callbacks.early_stopping=null", "trainer.max_epochs=6") == (0, folder)
    assert len(history_of(folder)) == 6


@pytest.mark.slow
def test_more_time_goes_on_after_the_limit(run: Run, small: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    settings = [*small, "trainer.max_epochs=3"]
    _, folder = run(*settings, "+trainer.max_time={milliseconds:1}")
    ended = len(history_of(folder))
    assert ended == 1
    on = [*settings, f"ckpt_path={folder}/checkpoints/last.ckpt"]
    assert run(*on, "+trainer.max_time={milliseconds:1}")[0] == 1
    assert "`trainer.max_time`" in capsys.readouterr().err
    assert run(*on, "+trainer.max_time={hours:1}") == (0, folder)
    assert len(history_of(folder)) == 3


def test_a_copied_checkpoint_with_other_settings_is_refused_by_name(
    run: Run, small: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, folder = run(*small, "trainer.max_epochs=1")
    copy = shutil.copy(folder / "checkpoints/last.ckpt", tmp_path / "copy.ckpt")
    capsys.readouterr()
    assert run(*small, f"ckpt_path={copy}", "optimizer.lr=0.5")[0] == 1
    error = capsys.readouterr().err
    assert "optimizer.lr (0.0001 in that run, 0.5 now)" in error
    assert json.loads((folder / "settings.json").read_text())["compared"]["optimizer.lr"] == 0.0001
