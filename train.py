"""Train a chest X-ray classifier: ``python train.py --help``."""

from cxr_lightning.app.train import run_train

if __name__ == "__main__":
    run_train()
