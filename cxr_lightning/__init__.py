"""Train, evaluate and explain multi-label chest X-ray classifiers.

Names are loaded when they are first used, so that ``import cxr_lightning`` is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cxr_lightning.app.api import compare as compare
    from cxr_lightning.app.api import evaluate as evaluate
    from cxr_lightning.app.api import train as train
    from cxr_lightning.data.datamodule import ChestXRayDataModule as ChestXRayDataModule
    from cxr_lightning.inference.predictor import load_model as load_model
    from cxr_lightning.labels import NIH_LABELS as NIH_LABELS
    from cxr_lightning.labels import WALKTHROUGH_LABELS as WALKTHROUGH_LABELS
    from cxr_lightning.models.classifier import ChestXRayClassifier as ChestXRayClassifier

_HOMES = {
    "ChestXRayClassifier": "cxr_lightning.models.classifier",
    "ChestXRayDataModule": "cxr_lightning.data.datamodule",
    "NIH_LABELS": "cxr_lightning.labels",
    "WALKTHROUGH_LABELS": "cxr_lightning.labels",
    "compare": "cxr_lightning.app.api",
    "evaluate": "cxr_lightning.app.api",
    "load_model": "cxr_lightning.inference.predictor",
    "train": "cxr_lightning.app.api",
}
__all__ = sorted(_HOMES)
__version__ = "0.2.0"


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *_HOMES]
