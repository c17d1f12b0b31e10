"""Nothing in the current folder is run by the installed commands, whatever its name."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cxr_lightning.checkpoints.save import save_classifier
from cxr_lightning.models.classifier import ChestXRayClassifier
from tests.conftest import write_nih
from tests.unit.imaging.test_dicom import content_of, dataset_of

FILES = Path(__file__).parents[1] / "data" / "version_0_1"
MODULES = (
    *(
        "json",
        "csv",
        "sitecustomize",
        "usercustomize",
        "numpy",
        "PIL",
        "h5py",
        "pydicom",
        "onnx",
        "onnxruntime",
        "torch",
    ),
    *("yaml", "resource", "signal", "encodings", "importlib", "cxr_lightning", "hydra_plugins", "pydantic", "evil"),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with films, and with files that leave a marker if they are run."""
    marker = f"open({str(tmp_path / 'marker')!r}, 'w')\n"
    work = tmp_path / "work"
    work.mkdir()
    for name in MODULES:
        (work / f"{name}.py").write_text(marker)
    (work / "matplotlibrc").write_text("text.usetex: True\nbackend: module://evil\n")
    for name in ("train.yaml", "evaluate.yaml", "conf/train.yaml"):
        (work / name).parent.mkdir(exist_ok=True)
        (work / name).write_text("_target_: evil.main\n")
    Image.new("L", (64, 64), 90).save(work / "film.png")
    Image.new("L", (64, 64), 90).save(work / "film.tif")
    (work / "film.dcm").write_bytes(content_of(dataset_of(np.full((64, 64), 90, np.uint8))))
    return work


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "CXR_CACHE_DIR": str(folder.parent / "cache"), "PYTHONPATH": ""}
    command = [str(Path(sys.executable).with_name("cxr")), *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_no_command_runs_a_file_of_the_current_folder(folder: Path, tmp_path: Path) -> None:
    save_classifier(ChestXRayClassifier(["Mass"], backbone="densenet_micro", image_size=64), folder / "model.ckpt")
    films = ["film.png", "film.tif", "film.dcm"]
    done = run(folder, "predict", "--model", str(FILES / "model.onnx"), *films)
    assert done.returncode == 0, done.stderr
    done = run(folder, "explain", "--model", "model.ckpt", "film.png", "--out", "maps", "--labels", "Mass")
    assert done.returncode == 0, done.stderr
    settings = ["data=nih", f"data.root={write_nih(tmp_path / 'nih')}", "model=densenet_micro", "data.image_size=32"]
    more = ["trainer.max_epochs=1", "trainer.accelerator=cpu", "data.val_fraction=0.3", "data.batch_size=4"]
    done = run(folder, "train", *settings, *more)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "marker").exists()
