"""A tiny trained model with calibration and operating points, and synthetic films."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from cxr_lightning.checkpoints.save import save_classifier
from cxr_lightning.data.datasets.phantom import PhantomLayout
from cxr_lightning.inference.predictor import Predictor, load_model
from cxr_lightning.metrics.calibration import Calibrator
from cxr_lightning.models.classifier import ChestXRayClassifier
from cxr_lightning.models.postprocess import PostProcessing

LABELS = ("Effusion", "Mass", "Hernia")
Gray = NDArray[np.uint8]


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that carries what was fitted."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        classifier = ChestXRayClassifier(LABELS, backbone="densenet_micro", image_size=64).eval()
    calibrators = {"Effusion": Calibrator("platt", 2.0, -0.5), "Mass": Calibrator()}
    thresholds = {"Effusion": {"youden": 0.0, "f1": 1.0}, "Mass": {"youden": 1.0, "f1": 0.0}, "Hernia": {}}
    fitted = PostProcessing("20 images", calibrators, thresholds, {"Effusion": 5, "Mass": 5, "Hernia": 0})
    classifier.metadata |= {"fitted": fitted.to_metadata(), "prevalence": {"Effusion": 0.25, "Mass": 0.1}}
    path = tmp_path_factory.mktemp("model") / "best.ckpt"
    save_classifier(classifier, path)
    return path


@pytest.fixture
def model(model_file: Path) -> Predictor:
    return load_model(model_file, device="cpu")


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Forty synthetic films."""
    root = tmp_path_factory.mktemp("films")
    PhantomLayout(seed=2, train_images=60, val_images=20, test_images=40, image_size=96).prepare(root)
    return sorted(root.rglob("images/*.png"))[:40]


@pytest.fixture
def film(films: list[Path]) -> Gray:
    with Image.open(films[0]) as image:
        return np.asarray(image)
