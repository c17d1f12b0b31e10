"""Every command and every line of Python in the documentation runs as it stands, on tiny data and with tiny networks.

A page is done from its first to its last line, in a folder with the files that it names. Only sizes are changed: what a
command gives is kept, and what it leaves open is small. Commands of several processes run in one.
"""

import csv
import os
import re
import runpy
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import chdir
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

import cxr_lightning
from cxr_lightning.app.evaluate import run_evaluate
from cxr_lightning.app.train import run_train
from cxr_lightning.cli import main, registry
from cxr_lightning.metrics import report_metric
from cxr_lightning.models import setting_rules
from cxr_lightning.models.backbones.densenet import DENSENET_BLOCKS, densenet_backbone
from cxr_lightning.models.backbones.registry import BACKBONES
from tests.conftest import QUICK, start, without_figures, write_nih
from tests.course_files import write_course
from tests.documentation import CODE, COMMANDS, PAGES, Block, blocks_of, commands_of
from tests.unit.checkpoints.foreign.conftest import build

NETWORK = "densenet_small"
"""A DenseNet of four layers, whose Keras files the tests can write."""
PROGRAMS = ("train.py", "evaluate.py", "cxr", "cxr_lightning")
NOT_RUN = (
    "git clone",
    "cd",
    "pip",
    "uv build",
    "uv sync",
    "uv run pytest",
    "uv run tensorboard",
    "uvx",
    "uv run --with",
)
"""Commands that make the environment or a wheel, test, or open a page."""
REFUSED = {
    "train.py experiment=walkthrough data.root=nih model.weights=nih/densenet.hdf5": "in more than one split",
    "--extra onnx cxr export calibrated.ckpt model_int8.onnx --int8 --check-on /data/nih": "at least 10 positives",
}
"""Commands that stop, as their page says, and words of the error."""
SEVERAL = {
    "trainer=ddp": "trainer=cpu",
    r"trainer\.devices=\d": "trainer.devices=1",
    r"trainer\.num_nodes=\d": "trainer.num_nodes=1",
    r"hydra[/.]launcher.*": "",
    "n_trials=50": "n_trials=2",
    r"(seed=1),2,3": r"\1,2",
    "model=densenet121,resnet50": "model=densenet_micro,resnet50",
}
"""What is changed in a command: several processes, and more jobs than a test needs."""
KERAS_FILES = {
    "pretrained_model.h5": "keras2_flat_dense.save_weights.h5",
    "densenet.hdf5": "keras2_notop.save_weights.h5",
}
"""The course's files of weights, and their layouts."""
SIZES = {
    "data.image_size": 32,
    "data.batch_size": 4,
    "data.num_workers": 0,
    "trainer.accelerator": "cpu",
    "trainer.max_epochs": 1,
    "trainer.limit_train_batches": 2,
    "trainer.limit_val_batches": 2,
    "model.backbone": NETWORK,
    "model.weights": "null",
    "callbacks.progress_bar": "null",
}
PHANTOM = {"train_images": 60, "val_images": 20, "test_images": 40, "image_size": 64}


def write_mine(folder: Path, nih: Path) -> None:
    """A table of one's own, with and without a column for the split."""
    shutil.copytree(nih / "images", folder / "images")
    names = sorted(path.name for path in (folder / "images").iterdir())
    labels, splits = cxr_lightning.NIH_LABELS, ("train", "train", "val", "test")
    for file, columns in {"labels.csv": ("path", "patient"), "folds.csv": ("image", "patient", "fold")}.items():
        with (folder / file).open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow([*columns, *labels])
            for number, name in enumerate(names):
                own = (f"images/{name}", name[:8], splits[int(name[:8]) % 4])[: len(columns)]
                writer.writerow([*own, *(int((number + place) % 3 == 0) for place in range(len(labels)))])


def write_chexpert(folder: Path) -> None:
    """CheXpert's table of its validation images, in its own spelling, with uncertain labels."""
    folder.mkdir()
    rows = ["Path,Sex,Age,Frontal/Lateral,AP/PA,Edema,Pleural Effusion"]
    for number in range(12):
        name = f"{folder.name}/valid/patient{64541 + number // 2}/study1/view{1 + number % 2}_frontal.jpg"
        (folder.parent / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 255, (80, 80), dtype=np.uint8)
        Image.fromarray(pixels).save(folder.parent / name)
        rows.append(f"{name},Male,60,Frontal,AP,{number % 3 - 1}.0,{(number + 1) % 3 - 1}.0")
    (folder / "valid.csv").write_text("\n".join(rows) + "\n")


def write_dicom(path: Path, pixels: np.ndarray) -> None:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = generate_uid()
    film = pydicom.dataset.FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    film.SOPClassUID, film.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    film.Modality, film.PhotometricInterpretation = "DX", "MONOCHROME2"
    film.Rows, film.Columns = pixels.shape
    film.SamplesPerPixel, film.BitsAllocated, film.BitsStored, film.HighBit, film.PixelRepresentation = 1, 8, 8, 7, 0
    film.PixelData = pixels.tobytes()
    film.save_as(path, enforce_file_format=True)


@pytest.fixture
def small_keras_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DENSENET_BLOCKS, NETWORK, (2, 1, 1, 1))
    monkeypatch.setitem(BACKBONES, NETWORK, densenet_backbone((2, 1, 1, 1)))
    monkeypatch.setattr(setting_rules, "BACKBONE_NAMES", (*setting_rules.BACKBONE_NAMES, NETWORK))


@pytest.fixture
def workspace(tmp_path: Path, small_keras_network: None) -> Iterator[Path]:
    """A folder with the files that the pages name, in which the commands run."""
    data = tmp_path / "data"
    nih = write_nih(data / "nih", size=64)
    course = write_course(data / "course", [*(nih / "images").iterdir()])
    for name, layout in KERAS_FILES.items():
        shutil.copy(build(layout, course), course / name)
        shutil.copy(course / name, tmp_path)
    write_mine(data / "mine", nih)
    write_chexpert(data / "CheXpert-v1.0-small")
    (tmp_path / "nih").symlink_to(data / "course")
    pixels = np.random.default_rng(0).integers(0, 255, (80, 80), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "image.png")
    write_dicom(tmp_path / "scan.dcm", pixels)
    shutil.copytree(nih / "images", tmp_path / "folder")
    with chdir(tmp_path):
        train(tmp_path, ["data=nih", f"data.root={nih}", "hydra.run.dir=logs/train/runs/2026-01-31_12-00-00-000000"])
        shutil.copy("logs/train/runs/2026-01-31_12-00-00-000000/checkpoints/best.ckpt", "best.ckpt")
        report = "logs/evaluate/runs/A"
        evaluate(tmp_path, ["ckpt=best.ckpt", "save_calibrated=calibrated.ckpt", f"hydra.run.dir={report}"])
        shutil.copytree(report, "logs/evaluate/runs/B")
        shutil.copy(f"{report}/predictions.csv", "theirs.csv")
        yield tmp_path


def defaults_of(given: Sequence[str]) -> dict[str, object]:
    """Settings for what a training leaves open."""
    chosen = dict(text.partition("=")[::2] for text in given)
    sizes: dict[str, object] = dict(SIZES)
    experiment = {"walkthrough": "walkthrough", "full": "nih"}.get(chosen.get("experiment", ""), "phantom")
    if chosen.get("data", experiment) == "phantom":
        sizes |= {f"data.source.{name}": value for name, value in PHANTOM.items()}
    if chosen.get("model", "densenet121") != "densenet121":
        del sizes["model.backbone"]
    return sizes


def train(folder: Path, given: Sequence[str]) -> int:
    return start(run_train, folder, *given, **defaults_of(given))


def evaluate(folder: Path, given: Sequence[str]) -> int:
    keras, only_reads = (any(word in text for text in given) for word in (".h5", "predictions="))
    sizes = {"replicates": 2} if only_reads else QUICK | ({"source.image_size": 32} if keras else {})
    with without_figures():
        return start(run_evaluate, folder, *given, **sizes)


def any_file(pattern: str) -> str:
    """A file as the pattern's, where the small synthetic set may lack the one that is named."""
    return str(next(Path().glob(str(Path(pattern).with_name("*.png")))))


def run_command(words: Sequence[str], folder: Path) -> int | None:
    """Run one command; gives its exit code, None if it is of those that are not run."""
    if " ".join(words).startswith(NOT_RUN):
        return None
    if words[0] == "export":
        for setting in words[1:]:
            name, _, value = setting.partition("=")
            os.environ[name] = value.replace("$PWD", str(folder))
        return 0
    program = next(place for place, word in enumerate(words) if word in PROGRAMS)
    name = words[program].removesuffix(".py").removesuffix("_lightning")
    given = [word.replace("/data/", f"{folder}/data/") for word in words]
    given = given[program + 1 :]
    if name == "cxr" and given[0] in ("train", "evaluate"):
        name, given = given[0], given[1:]
    for pattern, replacement in SEVERAL.items():
        given = [text for text in (re.sub(f"^{pattern}$", replacement, text) for text in given) if text]
    if name == "cxr":
        given = [any_file(text) if "*" in text else text for text in given]
        return main([*given, *(["--image-size", "32"] if given[0] == "convert" else [])])
    return {"train": train, "evaluate": evaluate}[name](folder, given)


def run_commands(block: Block, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in commands_of(block):
        command = " ".join(words)
        for file in re.findall(r"save_calibrated=(\S+)", command):
            Path(file).unlink(missing_ok=True)
        refused = REFUSED.get(command.removeprefix("uv run "))
        capsys.readouterr()
        code = run_command(words, folder)
        said = capsys.readouterr().err
        assert code in (None, 0) or (refused and refused in said), f"{block.page}: {command}\n{said}"


def python_names(folder: Path) -> dict[str, Any]:
    """The names in which a page's Python runs: train and evaluate have small settings."""

    def small_train(*given: str) -> object:
        own = {text.partition("=")[0] for text in given}
        paths = {"paths.log_dir": folder / "logs", "paths.cache_dir": folder / "cache"}
        more = [f"{key}={value}" for key, value in (defaults_of(given) | paths).items() if key not in own]
        return cxr_lightning.train(*given, *more)

    def small_evaluate(*given: Any, **settings: Any) -> object:
        return cxr_lightning.evaluate(*given, replicates=2, **settings)

    return {"train": small_train, "evaluate": small_evaluate}


def run_python(block: Block, names: dict[str, Any], folder: Path) -> None:
    code = block.content.replace("/data/", f"{folder}/data/").replace("densenet121", NETWORK)
    code = re.sub(r"(image_size=)\d+", r"\g<1>32", code).replace(
        "Trainer(", 'Trainer(accelerator="cpu", logger=False, '
    )
    sizes = ", ".join(f"{name}={value}" for name, value in PHANTOM.items())
    code = code.replace("PhantomLayout()", f"PhantomLayout({sizes})")
    code = re.sub(r"^main\(", "assert 0 == main(", code, flags=re.MULTILINE)
    kept = {name: names[name] for name in ("train", "evaluate")}
    lines = [line for line in code.splitlines() if not re.match(r"from cxr_lightning import .*(train|evaluate)", line)]
    exec(compile("from cxr_lightning import *\n", block.page, "exec"), names)
    names |= kept
    exec(compile("\n".join(lines), f"{block.page}:{block.line}", "exec"), names)


def write_file(block: Block, folder: Path) -> bool:
    """Write a block that begins with a comment of its path; False for any other."""
    found = re.match(r"# ((?:my_package|conf|tests)/\S+)\n", block.content)
    if found:
        path = folder / found[1]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.content + "\n")
    return found is not None


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if page != "docs/extending.md"])
def test_a_page_runs_from_its_first_to_its_last_line(
    page: str, workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = python_names(workspace)
    for block in blocks_of(page):
        if block.language == COMMANDS:
            run_commands(block, workspace, capsys)
        elif block.language == CODE:
            run_python(block, names, workspace)


@pytest.fixture
def own_package(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The package whose files are on the page about parts of one's own, as a user has them; trusted in the page."""
    monkeypatch.setattr(report_metric, "_registered", {})
    monkeypatch.setattr(registry, "_registered", {})
    for name in ("CXR_PLUGINS", "PYTHONPATH"):
        monkeypatch.setenv(name, os.environ.get(name, ""))  # what the page exports is forgotten afterwards
    monkeypatch.syspath_prepend(workspace)
    files = [block for block in blocks_of("docs/extending.md") if write_file(block, workspace)]
    assert len(files) > 10
    imports = "from . import metrics as metrics\nfrom . import verbs as verbs\n"
    (workspace / "my_package/__init__.py").write_text(imports)
    yield workspace
    for name in [name for name in sys.modules if name.partition(".")[0] == "my_package"]:
        del sys.modules[name]


@pytest.mark.slow
def test_the_parts_of_ones_own_work(own_package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for block in blocks_of("docs/extending.md"):
        if block.language == COMMANDS:
            run_commands(block, own_package, capsys)
    known = ["--config-dir", str(own_package / "conf"), "data=folds", f"data.root={own_package}/data/mine"]
    parts = ["model=tiny", "callbacks=diary", "scheduler=linear", "optimizer=rmsprop", "hydra.run.dir=own"]
    assert train(own_package, [*known, *parts]) == 0
    assert (own_package / "own/diary.txt").is_file()
    assert evaluate(own_package, ["ckpt=own/checkpoints/best.ckpt", "hydra.run.dir=report"]) == 0
    assert "discrimination_slope" in (own_package / "report/metrics.json").read_text()
    assert main(["count", "folder"]) == 0
    assert "32 images" in capsys.readouterr().out
    (test,) = (own_package / "tests").glob("test_*.py")
    runpy.run_path(str(test))["test_a_logit_of_zero_costs_log_two_and_unknown_targets_nothing"]()
