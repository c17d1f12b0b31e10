"""Evaluate a chest X-ray classifier, or anybody's predictions: ``python evaluate.py --help``."""

import cxr_lightning.utils.quiet_interrupts  # noqa: F401  # before the others
from cxr_lightning.app.evaluate import run_evaluate

if __name__ == "__main__":
    run_evaluate()
