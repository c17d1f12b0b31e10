"""Places that cannot be written to, full disks and closed outputs: one line that names the file and what moves it."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra

from cxr_lightning.checkpoints.save import save_classifier
from cxr_lightning.cli.main import main
from cxr_lightning.models.classifier import ChestXRayClassifier
from tests.conftest import AtBatch, Run, full_disk, summary_of
from tests.slow_cases import one_in

LOG_DIR = [
    "`paths.log_dir` (CXR_LOG_DIR in the environment) or `hydra.run.dir` (of a sweep: `hydra.sweep.dir`) moves it."
]
CACHE_DIR = ["`paths.cache_dir`"]
STUDY = ["'hydra.sweeper.storage' to be usable but got: unable to open database file. Set a file in a folder"]
MOVED_CACHE_DIR = ["`paths.cache_dir` (CXR_CACHE_DIR in the environment) moves it."]


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    model = ChestXRayClassifier(["Mass", "Edema"], backbone="densenet_micro", image_size=32).eval()
    save_classifier(model, tmp_path / "x.ckpt")
    return tmp_path / "x.ckpt"


def error_line(capsys: pytest.CaptureFixture[str]) -> str:
    output = capsys.readouterr()
    assert "Traceback" not in output.out + output.err
    (line,) = [line for line in output.err.splitlines() if line.startswith("error: ")]
    return line


def command(words: str, nih_folder: Path, model_file: Path, place: Path) -> list[str]:
    profiler = f"{{_target_:pytorch_lightning.profilers.SimpleProfiler,dirpath:{place}}}"
    return [word.format(nih=nih_folder, model=model_file, place=place, profiler=profiler) for word in words.split()]


@pytest.mark.parametrize(
    ("words", "kind", "said"),
    one_in(
        3,
        [
            ("train paths.log_dir={place}", "read-only", LOG_DIR),
            ("train paths.log_dir={place}", "a file", LOG_DIR),
            ("train paths.log_dir={place}", "not made", LOG_DIR),
            ("train hydra.run.dir={place}", "read-only", LOG_DIR),
            ("train callbacks.history.folder={place}", "not made", ["`callbacks.history.folder` moves it."]),
            (
                "train callbacks.last_checkpoint.dirpath={place} seed=-1",
                "a file",
                ["2 are wrong", "last_checkpoint.dirpath`"],
            ),
            (
                "train callbacks.model_checkpoint.filename={place}",
                "read-only",
                ["`callbacks.model_checkpoint.filename` mov"],
            ),
            ("train logger=csv logger.csv.save_dir={place}/y", "not made", ["`logger.csv.save_dir` moves it."]),
            ("train trainer.profiler={profiler}", "a file", ["`trainer.profiler.dirpath` moves it."]),
            ("train -m seed=1,2 paths.log_dir={place}", "a file", LOG_DIR),
            ("train -m seed=1,2 hydra.sweep.dir={place}", "read-only", LOG_DIR),
            ("train paths.cache_dir={place}", "a file", MOVED_CACHE_DIR),
            pytest.param(
                *("train hparams_search=optuna hydra.sweeper.storage=sqlite:///{place}", "not made", STUDY),
                marks=pytest.mark.skipif(find_spec("optuna") is None, reason="the extra sweep is not installed"),
            ),
            ("train data=nih data.root={nih} model.weights=null paths.cache_dir={place}", "read-only", CACHE_DIR),
            ("evaluate ckpt={model} paths.log_dir={place}", "a file", LOG_DIR),
            ("evaluate ckpt={model} data=nih root={nih} paths.cache_dir={place}", "read-only", CACHE_DIR),
            ("phantom {place}", "a file", []),
            ("prepare {nih} --cache-dir {place}", "read-only", CACHE_DIR),
            ("prepare {nih} --cache-dir {place}", "a file", CACHE_DIR),
            ("predict {nih}/images --model {model} --out {place}", "read-only", []),
            ("export {model} {place}.safetensors", "a file", []),
        ],
    ),
)
def test_a_place_that_cannot_be_written_is_named(
    words: str,
    kind: str,
    said: list[str],
    nih_folder: Path,
    model_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "file").touch()
    # /sys is not even root's to write to, and in /proc the system says that a new folder does not exist.
    folder = {"read-only": Path("/sys"), "not made": Path("/proc")}.get(kind, tmp_path / "file")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CXR_LOG_DIR", str(tmp_path / "logs"))
    monkeypatch.setenv("CXR_CACHE_DIR", str(tmp_path / "cache"))
    GlobalHydra.instance().clear()
    assert main(command(words, nih_folder, model_file, folder / "x")) == 1
    error = error_line(capsys)
    named = [] if said is STUDY else [str(folder)]
    assert all(text in error for text in [*named, *said]), error


def test_the_folder_of_a_callback_that_is_lost_within_a_run_is_named(
    run: Run, small: list[str], at_batch: AtBatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "mine" / "history"
    at_batch(folder.parent.touch, 0, 1)
    assert run(*small, f"callbacks.history.folder={folder}")[0] == 1
    error = error_line(capsys)
    assert all(text in error for text in [f"'{folder}", "Not a directory", "`callbacks.history.folder` moves it."]), (
        error
    )
    assert folder.parent.is_file()  # the check before the run has left no folder there
    assert not list(tmp_path.rglob(".cxr_*"))


@pytest.mark.parametrize(
    ("words", "size", "said"),
    one_in(
        3,
        [
            ("train", 3000, ["Free disk space.", *LOG_DIR]),
            ("train hydra.run.dir={place}", 500, ["/out'", "Free disk space.", *LOG_DIR]),
            ("train -m seed=1,2 hydra.sweep.dir={place}", 500, ["/out'", "Free disk space.", *LOG_DIR]),
            ("evaluate ckpt={model} paths.log_dir={place}", 500, ["/out/evaluate/runs'", "Free disk space.", *LOG_DIR]),
            ("train", 20_000, [".png'", "Free disk space.", *MOVED_CACHE_DIR]),
            ("evaluate ckpt={model} data=nih root={nih} gradcam.top=0 replicates=2", 20_000, [".png'", *LOG_DIR]),
            ("phantom {place}", 2000, [".png'", "Free disk space."]),
            ("prepare {nih} --image-size 64 --cache-dir {place}", 2000, ["Free disk space", *CACHE_DIR]),
            ("predict {nih}/images --model {model} --out {place}", 1000, ["results.jsonl'", "Free disk space."]),
            ("export {model} {place}.safetensors", 2000, [".safetensors'", "Free disk space."]),
        ],
    ),
)
def test_a_full_disk_is_one_line(
    words: str,
    size: int,
    said: list[str],
    nih_folder: Path,
    model_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    GlobalHydra.instance().clear()
    with full_disk(size) as fill:
        fill()
        assert main(command(words, nih_folder, model_file, tmp_path / "out")) == 1
    error = error_line(capsys)
    assert all(text in error for text in ["File too large", *said])


def test_no_folder_for_temporary_files_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile._get_candidate_names", lambda: iter(()))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("tempfile._candidate_tempdir_list", lambda: ["/sys/x"])
    monkeypatch.setattr("cxr_lightning.phantom.build.usable_cores", lambda: 2)
    assert main(["phantom", str(tmp_path)]) == 1
    assert "Set TMPDIR" in error_line(capsys)


@pytest.mark.parametrize("output", ["a reader that has ended", "closed", "a full disk"])
def test_a_run_without_output_keeps_its_record(
    run: Run, small: list[str], output: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    full = Path("/dev/full").open("w")  # noqa: SIM115
    with monkeypatch.context() as patch, os.fdopen(writer, "w", buffering=1) as pipe, full:
        streams = {"a reader that has ended": pipe, "closed": None, "a full disk": full}
        patch.setattr(sys, "stdout", streams[output])
        code, folder = run(*small, "trainer.max_epochs=1")
    assert code == 0
    assert summary_of(folder)["test"]["auroc"]
