"""Train a chest X-ray classifier: ``python train.py --help``."""

import cxr_lightning.utils.quiet_interrupts  # noqa: F401  # before the others
from cxr_lightning.app.train import run_train

if __name__ == "__main__":
    run_train()
