"""Lightning callbacks: what a run writes, what it can go on from, and when it must not."""

from cxr_lightning.training.callbacks.agreement import SameSettings, StepSeeds
from cxr_lightning.training.callbacks.checkpoints import BestCheckpoint, snapshots
from cxr_lightning.training.callbacks.finite import FiniteLoss
from cxr_lightning.training.callbacks.history import History
from cxr_lightning.training.callbacks.last_checkpoint import LastCheckpoint
from cxr_lightning.training.callbacks.progress import ProgressBar

__all__ = [
    "BestCheckpoint",
    "FiniteLoss",
    "History",
    "LastCheckpoint",
    "ProgressBar",
    "SameSettings",
    "StepSeeds",
    "snapshots",
]
