"""A sweep's jobs become configurations: grouped over seeds, best first, a test number for the selected one alone."""

import csv
import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cxr_lightning.app.sweep_jobs import read_jobs, read_leaderboard
from cxr_lightning.cli.main import main
from cxr_lightning.evaluation.leaderboard import rank_jobs
from cxr_lightning.report.wording import DIFFERENT_VALIDATION
from tests.run_summaries import SPLIT, run_summary

DATA = run_summary()["data"]


def write_job(folder: Path, number: int, overrides: list[str], best: float | None, **other: Any) -> Path:
    job = folder / str(number)
    (job / ".hydra").mkdir(parents=True)
    (job / ".hydra/overrides.yaml").write_text("".join(f"- {override}\n" for override in overrides))
    monitor = {"name": "val/auroc", "mode": "max", "best": best}
    test: dict[str, Any] = {"macro_auroc": None if best is None else best - 0.01, "defined_labels": 1, "auroc": {}}
    (job / "summary.json").write_text(json.dumps(run_summary(**{"monitor": monitor, "test": test, **other})))
    return job


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """Two learning rates, three seeds; one job has failed."""
    values = {("0.1", "1"): 0.7, ("0.1", "2"): 0.74, ("0.1", "10"): 0.75, ("0.01", "1"): 0.8, ("0.01", "2"): 0.9}
    for number, ((rate, seed), best) in enumerate(values.items()):
        write_job(tmp_path, number, ["data=nih", f"optimizer.lr={rate}", f"seed={seed}"], best)
    failed = write_job(tmp_path, 11, ["data=nih", "optimizer.lr=0.01", "seed=10"], 1.0)
    (failed / "summary.json").unlink()
    (failed / "error.txt").write_text("Expected luck.\n")
    return tmp_path


def test_configurations_are_ranked_by_their_mean_over_seeds(sweep: Path) -> None:
    board = read_leaderboard(sweep)
    assert [entry.settings for entry in board.entries] == [{"optimizer.lr": "0.01"}, {"optimizer.lr": "0.1"}]
    first, second = board.entries
    assert (len(first.values), first.jobs, len(second.values), second.jobs) == (2, 3, 3, 3)
    np.testing.assert_allclose([first.mean, first.deviation], [np.mean([0.8, 0.9]), np.std([0.8, 0.9], ddof=1)])
    others = [0.7, 0.74, 0.75]
    np.testing.assert_allclose([second.mean, second.deviation], [np.mean(others), np.std(others, ddof=1)])
    np.testing.assert_allclose(first.test, [0.79, 0.89])
    assert second.test == ()
    assert [(job.name, job.error) for job in board.failed] == [("11", "Expected luck.")]
    assert (board.monitor, board.jobs, board.synthetic, board.same_validation) == ("val/auroc", 6, True, True)
    assert board.sources == ("phantom",)


@pytest.mark.parametrize("kind", ["pipe", "endless", "bytes"])
def test_the_message_of_a_failed_job_is_read_within_bounds(kind: str, sweep: Path) -> None:
    path = sweep / "11/error.txt"
    if kind == "bytes":
        path.write_bytes(b"\xff")
    elif kind == "pipe":
        path.unlink()
        os.mkfifo(path)
    else:
        os.truncate(path, 10 << 40)
    expected = {
        "pipe": "its error.txt cannot be read: it is no regular file",
        "endless": "its error.txt cannot be read: it has 10,995,116,277,760 bytes, more than 100,000",
        "bytes": "\ufffd",
    }
    assert [job.error for job in read_leaderboard(sweep).failed] == [expected[kind]]


def test_lower_is_better_where_that_is_monitored(tmp_path: Path) -> None:
    for number, best in enumerate((0.3, 0.1, None)):
        monitor = {"name": "val/loss", "mode": "min", "best": best}
        write_job(tmp_path, number, [f"loss=l{number}"], best, monitor=monitor)
    board = read_leaderboard(tmp_path)
    assert [entry.settings["loss"] for entry in board.entries] == ["l1", "l0", "l2"]
    assert math.isnan(board.entries[2].mean)


def test_jobs_that_do_not_compare_are_refused_or_noted(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(FileNotFoundError, match="Expected a sweep's jobs in"):
        read_jobs(sweep / "0")
    write_job(sweep, 12, ["data.seed=5"], 0.5, data={**DATA, "splits": {"val": {**SPLIT, "sha256": "b" * 64}}})
    assert not read_leaderboard(sweep).same_validation
    assert main(["leaderboard", str(sweep)]) == 0
    assert f"note: {DIFFERENT_VALIDATION}" in capsys.readouterr().out
    write_job(sweep, 13, ["x=1"], 0.5, monitor={"name": "val/loss", "mode": "min", "best": 1})
    with pytest.raises(ValueError, match="monitor one number but they monitor"):
        read_leaderboard(sweep)
    (sweep / "13/summary.json").write_text("{}")
    with pytest.raises(ValueError, match=r"a run's summary in '.*13/summary\.json'"):
        read_jobs(sweep)


def test_no_finished_job_is_an_error_with_a_reason(sweep: Path) -> None:
    jobs = [job for job in read_jobs(sweep) if job.summary is None]
    with pytest.raises(ValueError, match=r"none of 1 is \(Expected luck\)\. Fix that"):
        rank_jobs(jobs)


def test_cxr_leaderboard_writes_and_shows_it(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_job(sweep, 20, ["=evil()=1", "optimizer.lr=0.00012345678901"], 0.2)
    assert main(["leaderboard", str(sweep)]) == 0
    out = capsys.readouterr().out
    assert "SYNTHETIC DATA: phantom" in out
    assert "0.840 ± 0.071" in out
    assert "2 of 3" in out
    assert "lr=0.0001235" in out
    assert "Not for clinical use." in out
    with (sweep / "leaderboard.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["rank"] for row in rows] == ["1", "2", "3"]
    assert float(rows[0]["mean"]) == pytest.approx(0.85)
    assert (rows[1]["test_auroc"], rows[0]["seeds"], rows[0]["jobs"]) == ("", "2", "3")
    assert not any(cell.startswith("=") for row in rows for cell in [*row, *row.values()])
    assert (sweep / "leaderboard.png").stat().st_size > 5000
    assert main(["leaderboard", str(sweep / "absent")]) == 1
    assert "Expected a sweep's jobs" in capsys.readouterr().err
