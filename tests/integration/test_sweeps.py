"""Sweeps end in a leaderboard and the right exit code, whatever becomes of single jobs."""

import csv
import json
import os
import shlex
import signal
from pathlib import Path

import pytest
from omegaconf import DictConfig

import cxr_lightning.app.train_job
from cxr_lightning.app.run_identity import settings_of
from cxr_lightning.app.train_job import TrainingOutcome
from cxr_lightning.cli.main import main
from cxr_lightning.training.run_settings import write_settings
from tests.conftest import AtBatch, Death, Run, summary_of
from tests.run_summaries import run_summary

KILLED = Path("killed")
"""Among the folders of jobs: the next job is killed when it starts."""


def sweep_of(tmp_path: Path) -> Path:
    (folder,) = (tmp_path / "logs/train/multiruns").iterdir()
    return folder


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "leaderboard.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_sweep_runs_every_combination_and_ranks_it(
    run: Run, small: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("-m", *small, "seed=1,2", "optimizer.lr=0.001,0.0001", "trainer.max_epochs=1")[0] == 0
    folder = sweep_of(tmp_path)
    assert sorted(path.parent.name for path in folder.glob("*/summary.json")) == ["0", "1", "2", "3"]
    rows = rows_of(folder)
    assert sorted(row["optimizer.lr"] for row in rows) == ["0.0001", "0.001"]
    assert [row["seeds"] for row in rows] == ["2", "2"]
    assert float(rows[0]["mean"]) >= float(rows[1]["mean"])
    best = [job for job in "0123" if rows[0]["optimizer.lr"] in given_to(folder / job)]
    tests = [summary_of(folder / job)["test"]["macro_auroc"] for job in best]
    assert float(rows[0]["test_auroc"]) == pytest.approx(sum(tests) / 2)
    out = capsys.readouterr().out
    assert "test AUROC" in out
    assert "to evaluate it: " not in out
    (command,) = [text for line in out.splitlines() if (text := line.partition("to evaluate the best job: ")[2])]
    values = {job: summary_of(folder / job)["monitor"]["best"] for job in best}
    assert shlex.split(command)[-1] == f"ckpt={folder / max(best, key=lambda job: values[job])}/checkpoints/best.ckpt"


def given_to(folder: Path) -> list[str]:
    return [line.partition("=")[2] for line in (folder / ".hydra/overrides.yaml").read_text().splitlines()]


def test_a_job_that_fails_takes_nothing_down_but_the_exit_code(
    run: Run, small: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = [*small, "data.batch_size=0,4,8", "trainer.max_epochs=1"]
    assert run("-m", *settings)[0] == 1
    folder = sweep_of(tmp_path)
    assert sorted(path.parent.name for path in folder.glob("*/summary.json")) == ["1", "2"]
    assert "data.batch_size" in (folder / "0/error.txt").read_text()
    assert [row["jobs"] for row in rows_of(folder)] == ["1", "1", "1"]
    said = capsys.readouterr().err
    assert "job 0 failed: Expected `data.batch_size` to be at least 1 but got 0." in said
    assert "error: Expected all 3 jobs to finish but 1 have not; see above." in said
    assert "Traceback" not in said


@pytest.mark.slow
def test_a_sweep_that_was_stopped_goes_on_where_it_was(
    run: Run, small: list[str], at_batch: AtBatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    part = tmp_path / "a part"
    settings = ["-m", *small, "seed=1,2,3", "resume=auto"]
    at_batch(lambda: os.kill(os.getpid(), signal.SIGTERM), 1, 0, seed=2)
    assert run(*settings, f'hydra.sweep.dir="{part}"')[0] == 143
    said = capsys.readouterr().err
    assert "stopped by SIGTERM; go on with the same settings, resume=auto and " in said
    (same_folder,) = shlex.split(said.partition("resume=auto and ")[2])
    assert sorted(path.parent.name for path in part.glob("*/summary.json")) == ["0"]
    before = (part / "0/summary.json").read_bytes()
    assert run(*settings, same_folder)[0] == 0
    assert (part / "0/summary.json").read_bytes() == before  # not trained again
    assert [(row["seeds"], row["jobs"]) for row in rows_of(part)] == [("3", "3")]
    assert sorted(path.name for path in part.glob("multirun*")) == ["multirun.yaml", "multirun_1.yaml"]
    kept = [(part / job / "summary.json").read_bytes() for job in "012"]
    assert run("-m", *small, "seed=3,4", "resume=auto", same_folder)[0] == 0  # one of these, and a new one
    assert [(part / job / "summary.json").read_bytes() for job in "012"] == kept
    assert "- seed=4\n" in (part / "3/.hydra/overrides.yaml").read_text()
    assert [(row["seeds"], row["jobs"]) for row in rows_of(part)] == [("4", "4")]
    assert run("-m", *small, "seed=5,6", same_folder)[0] == 1  # another sweep is refused by name
    assert sorted(path.name for path in part.iterdir() if path.is_dir()) == ["0", "1", "2", "3"]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folder of every job that starts; none is trained, but each has settings and a summary at its end."""
    folders: list[Path] = []

    def job(config: DictConfig, settings: object, folder: Path, ckpt_path: str | None) -> TrainingOutcome:
        folders.append(folder)
        if KILLED in folders:
            folders.clear()
            raise Death
        write_settings(folder, settings_of(config))
        monitor = {"name": "val/auroc", "mode": "max", "best": 0.5}
        summary = run_summary(monitor=monitor, test=None, best_checkpoint=None)
        (folder / "summary.json").write_text(json.dumps(summary))
        return TrainingOutcome(0.5, None, folder)

    monkeypatch.setattr(cxr_lightning.app.train_job, "run_training", job)
    return folders


def names_in(folder: Path) -> list[str]:
    logs = ("train.log", "evaluate.log", ".lock", "multirun")
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.name.startswith(logs))


@pytest.mark.slow
@pytest.mark.parametrize(
    "subdir", [pytest.param("s/${seed}", marks=pytest.mark.slow), '"${hydra.job.override_dirname}"']
)
def test_jobs_at_any_depth_are_those_of_the_sweep(
    run: Run, small: list[str], quick: list[Path], tmp_path: Path, subdir: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = tmp_path / "sweep"
    settings = ["-m", *small, "seed=1,2", f"hydra.sweep.dir={sweep}"]
    assert run(*settings, f"hydra.sweep.subdir={subdir}")[0] == 0
    assert [(row["seeds"], row["jobs"]) for row in rows_of(sweep)] == [("2", "2")]
    before = names_in(sweep)
    capsys.readouterr()
    assert run(*settings, f"hydra.sweep.subdir={subdir}", "optimizer.lr=0.1")[0] == 1
    assert f"'{sweep}' holds a sweep of 2 jobs, which is not replaced" in capsys.readouterr().err
    for place in ([f"hydra.sweep.subdir={subdir}"], []):
        assert run(*settings, *place, "resume=auto")[0] == 0
        assert names_in(sweep) == before
    assert len(quick) == 2


@pytest.mark.slow
def test_a_job_that_is_refused_leaves_the_finished_one_as_it_is(
    run: Run, evaluate: Run, small: list[str], quick: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep, same = tmp_path / "sweep", tmp_path / "same"
    settings = ["-m", *small, "seed=1,2", f"hydra.sweep.dir={sweep}", "hydra.sweep.subdir=${seed}"]
    assert run(*settings)[0] == 0
    before = names_in(sweep)
    capsys.readouterr()
    assert run(*settings, "optimizer.lr=0.01", "resume=auto")[0] == 1
    error = capsys.readouterr().err
    assert "job 0 failed: Expected a run of the same settings in" in error
    assert "Give another hydra.sweep.subdir, of its own for each job, or hydra.sweep.dir" in error
    assert names_in(sweep) == before
    assert main(["leaderboard", str(sweep)]) == 0
    rows = rows_of(sweep)
    (sweep / "1/.hydra_2").mkdir()  # of a start after the summary that failed before its training
    (sweep / "1/.hydra_2/overrides.yaml").write_text("- seed=7\n- trainer.max_epochs=9\n")
    assert main(["leaderboard", str(sweep)]) == 0
    assert rows_of(sweep) == rows
    assert run("-m", *small, "seed=1,2", f"hydra.sweep.dir={same}", "hydra.sweep.subdir=both/of")[0] == 1
    assert "job 1 failed: " in capsys.readouterr().err
    assert not any("error.txt" in name or ".hydra_2" in name for name in names_in(same))
    assert [(row["seeds"], row["jobs"]) for row in rows_of(same)] == [("1", "1")]
    (tmp_path / "reports/one").mkdir(parents=True)
    (tmp_path / "reports/one/report.html").touch()
    to = [f"hydra.sweep.dir={tmp_path / 'reports'}", "hydra.sweep.subdir=one"]
    assert evaluate("-m", "ckpt=x.ckpt", "seed=1,2", *to)[0] == 1
    assert "there is a report in it" in capsys.readouterr().err
    assert names_in(tmp_path / "reports/one") == ["report.html"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "more", ["callbacks.early_stopping.patience=100", "trainer.max_epochs=9", "data.num_workers=1"]
)
def test_a_job_that_was_killed_before_its_first_save_keeps_its_folder(
    run: Run, small: list[str], quick: list[Path], tmp_path: Path, more: str
) -> None:
    sweep = tmp_path / "sweep"
    settings = ["-m", *small, "seed=1,2", f"hydra.sweep.dir={sweep}"]
    quick.append(KILLED)
    with pytest.raises(Death):
        run(*settings)
    assert trial_folders(sweep) == ["0"]
    assert run(*settings, "resume=auto", more)[0] == 0
    assert trial_folders(sweep) == ["0", "1"]
    assert run(*settings, "resume=auto", more, "optimizer.lr=0.5")[0] == 0
    assert trial_folders(sweep) == ["0", "1", "2", "3"]
    assert [folder.name for folder in quick] == ["0", "1", "2", "3"]


def trial_folders(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir())


def search_of(small: list[str], folder: Path) -> list[str]:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    short = ["hydra.sweeper.n_trials=2", "trainer.max_epochs=1", f"hydra.sweep.dir={folder}"]
    return [*small, "hparams_search=optuna", *short]


@pytest.mark.slow
def test_a_search_starts_again_where_it_was_or_not_at_all(
    run: Run, small: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "search"
    settings = search_of(small, folder)
    assert run(*settings)[0] == 0
    rows = rows_of(folder)
    assert len({row["optimizer.lr"] for row in rows}) == 2
    assert all(row["test_auroc"] == "" for row in rows)  # nothing is tested in a search
    kept = [(folder / job / "summary.json").read_bytes() for job in "01"]
    capsys.readouterr()
    assert run(*settings)[0] == 1
    assert "holds a sweep of 2 jobs, which is not replaced" in capsys.readouterr().err
    assert run(*settings, "resume=auto", "hydra.sweeper.n_trials=3")[0] == 0  # the same trials, and one more
    assert [(folder / job / "summary.json").read_bytes() for job in "01"] == kept
    assert trial_folders(folder) == ["0", "1", "2"]
    assert len(rows_of(folder)) == 3


@pytest.mark.slow
@pytest.mark.parametrize("resume", ["null", "auto"])
def test_a_kept_study_goes_on_beside_its_old_jobs(run: Run, small: list[str], tmp_path: Path, resume: str) -> None:
    optuna = pytest.importorskip("optuna")
    storage, folder = f"sqlite:///{tmp_path}/search.db", tmp_path / "search"
    settings = [*search_of(small, folder), f"hydra.sweeper.storage={storage}", f"resume={resume}"]
    assert run(*settings)[0] == 0
    kept = [(folder / job / "summary.json").read_bytes() for job in "01"]
    assert run(*settings)[0] == 0
    assert [(folder / job / "summary.json").read_bytes() for job in "01"] == kept
    assert trial_folders(folder) == ["0", "1", "2", "3"]
    trials = optuna.load_study(study_name="cxr_lightning", storage=storage).trials
    rates = {f"{trial.params['optimizer.lr']:.6g}" for trial in trials}
    assert {f"{float(row['optimizer.lr']):.6g}" for row in rows_of(folder)} == rates
    assert len(rates) == 4


@pytest.mark.slow
def test_jobs_in_parallel_have_a_folder_each(run: Run, small: list[str], tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    settings = ["-m", *small, "trainer.max_epochs=1", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "resume=auto"]
    folder = tmp_path / "sweep"
    assert run(*settings, "seed=1,2", f"hydra.sweep.dir={folder}")[0] == 0
    assert run(*settings, "seed=3,4,1", f"hydra.sweep.dir={folder}")[0] == 0
    assert trial_folders(folder) == ["0", "1", "2", "3"]
    assert [row["seeds"] for row in rows_of(folder)] == ["4"]
