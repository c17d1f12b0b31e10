"""A tiny data set in NIH's official layout (random pictures, no real patients), and train.py run on it."""

import csv
import json
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hydra.core.global_hydra import GlobalHydra
from PIL import Image

from tests.quick_starts import parse_once, pass_over_imported

# Tiny networks lose more to the hand-over between threads than they gain. Read when torch is first imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:  # under nohup, which the program heeds
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

if TYPE_CHECKING:  # Lightning takes seconds to import; not every test needs it
    from cxr_lightning.data.datamodule import ChestXRayDataModule
    from cxr_lightning.data.manifest import Manifest

__all__ = ["parse_once", "pass_over_imported"]
collect_ignore_glob = ["data/*"]
"""Packages that tests import by themselves: an import registers their parts."""

HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
)
BOX_HEADER = "Image Index,Finding Label,Bbox [x,y,w,h],,,"
PLANTED = ("Effusion", "Infiltration", "Mass", "Nodule")
"""Findings that some images of every patient have and others have not: so every split has both."""
RARE = ("Cardiomegaly", "Hernia")
"""Findings drawn at random."""


def assert_one_error_line(out: str, err: str, words: Sequence[str]) -> None:
    """Check that a command's standard error is one line with an error message, without a traceback anywhere."""
    (line,) = [line for line in err.splitlines() if line.strip()]
    assert line.startswith("error: ")
    for word in words:
        assert word in line
    assert "Traceback" not in out + err


def write_nih(
    folder: Path,
    *,
    patients: int = 16,
    images_per_patient: int = 2,
    size: int = 16,
    seed: int = 0,
    test_patients: int | None = None,
) -> Path:
    """Write a data set with NIH's file names, and return its folder.

    With two images or more per patient, every patient has an image with and one without each of ``PLANTED``;
    images with Effusion are bright below. The last patients (a quarter, or ``test_patients``) are for testing.
    """
    generator = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    held_out = patients // 4 if test_patients is None else test_patients
    rows, boxes, lists = [], [], {"train_val_list.txt": "", "test_list.txt": ""}
    for patient in range(1, patients + 1):
        test = patient > patients - held_out
        offsets = generator.integers(images_per_patient, size=len(PLANTED))
        for visit in range(images_per_patient):
            name = f"{patient:08d}_{visit:03d}.png"
            findings = [label for label, offset in zip(PLANTED, offsets, strict=True) if (visit + offset) % 2 == 0]
            findings += [label for label in RARE if generator.random() < 0.2]
            view, sex, age = generator.choice(["PA", "AP"]), "MF"[patient % 2], 20 + patient
            text = "|".join(sorted(findings)) or "No Finding"
            rows.append(f"{name},{text},{visit},{patient},{age},{sex},{view},2500,2048,0.143,0.143")
            lists["test_list.txt" if test else "train_val_list.txt"] += f"{name}\n"
            if test and "Infiltration" in findings:
                boxes.append(f"{name},Infiltrate,256.0,512.0,128.0,64.0")
            pixels = generator.integers(0, 120, (size, size), dtype=np.uint8)
            if "Effusion" in findings:
                pixels[size // 2 :] += 100
            Image.fromarray(pixels).save(folder / "images" / name)
    (folder / "Data_Entry_2017_v2020.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    (folder / "BBox_List_2017.csv").write_text("\n".join([BOX_HEADER, *boxes]) + "\n")
    for name, lines in lists.items():
        (folder / name).write_text(lines)
    return folder


@pytest.fixture
def make_nih() -> Callable[..., Path]:
    """:func:`write_nih`, for tests that want another size or folder."""
    return write_nih


@pytest.fixture
def nih_folder(tmp_path: Path) -> Path:
    """Sixteen patients with two images each; the last four are for testing."""
    return write_nih(tmp_path / "nih")


@pytest.fixture
def nih_rows() -> Callable[[Path], list[dict[str, str]]]:
    """Reads a label file with nothing but the csv module: the second source for what the package reads."""

    def read(path: Path) -> list[dict[str, str]]:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file))

    return read


@pytest.fixture
def datamodule(nih_folder: Path) -> "ChestXRayDataModule":
    """The tiny set as a data module (not set up): 32 x 32 pixels, batches of four, no worker processes."""
    from cxr_lightning.data.datamodule import ChestXRayDataModule
    from cxr_lightning.data.datasets.nih import NIHLayout

    return ChestXRayDataModule(
        str(nih_folder), NIHLayout(), val_fraction=0.25, image_size=32, batch_size=4, num_workers=0
    )


def select_rows(
    manifest: "Manifest",
    *,
    required: Sequence[str] = ("train", "val", "test"),
    images: Sequence[str] = (),
    beside: Sequence[str] = (),
    **settings: Any,
) -> "Manifest":
    """A table's rows by settings of the selection; images are looked for in some splits, and not looked at."""
    from cxr_lightning.data.cache import CacheSpec
    from cxr_lightning.data.data_check import DataCheck, DataRequest
    from cxr_lightning.data.image_access import ImageAccess
    from cxr_lightning.data.selection import Selection

    access = ImageAccess(CacheSpec(Path("/"), 32), cache=False, cache_dir=None)
    access.inspect = lambda paths: []  # type: ignore[method-assign]  # the paths of such tables are made up
    return DataCheck(
        manifest, Selection(**settings), access, DataRequest(required, images, beside=beside)
    ).usable_images()


SMALL = (
    "data=nih",
    "model=densenet_micro",
    "data.image_size=32",
    "data.batch_size=4",
    "data.num_workers=0",
    "data.val_fraction=0.3",
    "trainer.accelerator=cpu",
    "trainer.max_epochs=2",
    "callbacks.progress_bar=null",
    "logger=none",
)
QUICK = {"replicates": 2, "gradcam.top": 0, "accelerator": "cpu", "num_workers": 0, "progress_bar": "false"}
"""Settings of a quick evaluation."""
Run = Callable[..., tuple[int, Path]]
AtBatch = Callable[..., None]
Die = Callable[[int, int], None]


def start(main: Callable[[], None], folder: Path, *overrides: str, **defaults: object) -> int:
    """Run train.py or evaluate.py with these settings, and give the exit code.

    Logs and prepared images are in the folder. Settings that are not given are ``defaults``.
    """
    GlobalHydra.instance().clear()
    given = {override.partition("=")[0] for override in overrides}
    defaults |= {"paths.log_dir": folder / "logs", "paths.cache_dir": folder / "cache"}
    more = [f"{key}={value}" for key, value in defaults.items() if key not in given]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [f"{main.__name__.removeprefix('run_')}.py", *overrides, *more])
        try:
            main()
        except SystemExit as exit_:
            return int(exit_.code or 0)
    return 0


@contextmanager
def without_figures() -> Iterator[None]:
    """Within the block, the figures of reports are empty: to draw them takes most of a small evaluation's time."""

    from matplotlib.figure import Figure

    from cxr_lightning.report.report_folder import FIGURES

    with pytest.MonkeyPatch.context() as patch:
        for name in FIGURES:
            patch.setitem(FIGURES, name, lambda _: Figure())
        yield


def newest(pattern: str, folder: Path) -> Path:
    """The newest of a folder's files or folders with such a name; the folder itself if there is none."""
    return max(folder.glob(pattern), key=lambda path: path.stat().st_mtime_ns, default=folder)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs train.py with these settings; gives its exit code and the newest run folder.

    The loss is not drawn after every epoch, as that takes a fifth of a small run's time.
    """

    from cxr_lightning.app.train import run_train

    monkeypatch.setattr("cxr_lightning.training.callbacks.history.loss_curve", lambda *_, **__: None)

    def run_with(*overrides: str) -> tuple[int, Path]:
        return start(run_train, tmp_path, *overrides), newest("logs/train/runs/*", tmp_path)

    return run_with


@pytest.fixture
def evaluate(tmp_path: Path) -> Run:
    """Runs evaluate.py with these settings and few replicates; gives its exit code and the newest report folder.

    The report's figures are empty; tests/integration/test_evaluate.py and test_api.py draw them.
    """

    from cxr_lightning.app.evaluate import run_evaluate

    def run_with(*overrides: str) -> tuple[int, Path]:
        with without_figures():
            code = start(run_evaluate, tmp_path, *overrides, **QUICK)
        return code, newest("logs/evaluate/runs/*", tmp_path)

    return run_with


@pytest.fixture
def at_batch(monkeypatch: pytest.MonkeyPatch) -> AtBatch:
    """Has something happen once, before a batch of an epoch; with ``seed``, of the first run with that seed."""

    from cxr_lightning.training.callbacks import StepSeeds

    def happen(action: Callable[[], object], epoch: int, batch: int, seed: int | None = None) -> None:
        original, waiting = StepSeeds.on_train_batch_start, [True]

        def hook(self: StepSeeds, trainer: Any, module: Any, data: Any, batch_idx: int) -> None:
            here = (trainer.current_epoch, batch_idx) == (epoch, batch) and seed in (None, self.seed)
            if waiting and here:
                waiting.clear()
                action()
            original(self, trainer, module, data, batch_idx)

        monkeypatch.setattr(StepSeeds, "on_train_batch_start", hook)

    return happen


class Death(BaseException):
    """Like SIGKILL, nothing of ours answers to it."""


@pytest.fixture
def die(at_batch: AtBatch) -> Die:
    """Makes the next run die before a batch of an epoch."""

    def death() -> None:
        raise Death

    return lambda epoch, batch: at_batch(death, epoch, batch)


def died(run: Run, *settings: str) -> None:
    with pytest.raises(Death):
        run(*settings)


@contextmanager
def full_disk(size: int) -> Iterator[Callable[[], None]]:
    """Within the block, once what it gives was called, no file grows beyond a size."""
    limits, writes = resource.getrlimit(resource.RLIMIT_FSIZE), sys.dont_write_bytecode
    sys.dont_write_bytecode = True  # Python 3.11 would keep a compiled module that was cut off
    try:
        yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        sys.dont_write_bytecode = writes


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Settings of a training on a set that all tests share, and whose images are prepared once: do not change it."""
    folder = tmp_path_factory.mktemp("small")
    return [*SMALL, f"data.cache_dir={folder / 'images'}", f"data.root={write_nih(folder / 'nih')}"]


@pytest.fixture
def own_small(nih_folder: Path) -> list[str]:
    """The same on a set of the test's own."""
    return [*SMALL, f"data.root={nih_folder}"]


def history_of(folder: Path) -> list[dict[str, float]]:
    """The rows of a run's history.csv; epochs and all as numbers."""
    with (folder / "history.csv").open(newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def summary_of(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return content
