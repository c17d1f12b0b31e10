"""Lightning callbacks: checkpoints, history, progress bar and log, and checks that stop a run."""

from cxr_lightning.training.callbacks.best_checkpoint import BestCheckpoint, best_checkpoint_never_kept, snapshots
from cxr_lightning.training.callbacks.finite_loss import FiniteLoss
from cxr_lightning.training.callbacks.history import History
from cxr_lightning.training.callbacks.last_checkpoint import LastCheckpoint
from cxr_lightning.training.callbacks.lightning_callbacks import LightningCallbacks, callback_problems
from cxr_lightning.training.callbacks.pending_averages import PendingAverages, unreached_averages
from cxr_lightning.training.callbacks.progress import ProgressBar
from cxr_lightning.training.callbacks.progress_log import ProgressLog
from cxr_lightning.training.callbacks.reproducibility import SameSettings, StepSeeds
from cxr_lightning.training.callbacks.resumed_run import ResumedRun

__all__ = [
    "BestCheckpoint",
    "FiniteLoss",
    "History",
    "LastCheckpoint",
    "LightningCallbacks",
    "PendingAverages",
    "ProgressBar",
    "ProgressLog",
    "ResumedRun",
    "SameSettings",
    "StepSeeds",
    "best_checkpoint_never_kept",
    "callback_problems",
    "snapshots",
    "unreached_averages",
]
