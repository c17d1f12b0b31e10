"""Evaluate a chest X-ray classifier, or anybody's predictions: ``python evaluate.py --help``."""

from cxr_lightning.app.evaluate import run_evaluate

if __name__ == "__main__":
    run_evaluate()
