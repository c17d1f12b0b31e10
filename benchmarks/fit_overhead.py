"""Measure the throughput of train.py's trainer.fit in percent of that of the same step on one resident batch.

    uv run -m benchmarks.fit_overhead [--batches 20] [OVERRIDES of train.py ...]

By default: DenseNet-121 on prepared images of the synthetic set, 224 px, batch 8, augmented, with all callbacks and
loggers of train.py. The first three batches of a fit are not counted.
"""

import argparse
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig

from benchmarks.paired_timing import ROUNDS, describe_machine
from cxr_lightning.app.entry_point import ignore_intended_warnings
from cxr_lightning.app.resolvers import register_resolvers
from cxr_lightning.app.train_job import configured_model, configured_trainer
from cxr_lightning.data.augment import Augmentation
from cxr_lightning.data.datamodule import ChestXRayDataModule
from cxr_lightning.models.classifier import ChestXRayClassifier

CONF = Path(__file__).parent.parent / "conf"
WARMUP_BATCHES = 3
AUGMENTED = "data.augmentation={_target_:cxr_lightning.data.augment.Augmentation}"


class BatchTimer(pl.Callback):
    """Record when each training batch ended; the device is synchronized at the first and the last counted one."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_train_batch_end(self, *_: object) -> None:
        """Record the time."""
        if len(self.ends) == WARMUP_BATCHES - 1:
            synchronize()
        self.ends.append(time.perf_counter())

    def on_train_epoch_end(self, *_: object) -> None:
        """Wait for the device and record the time again."""
        synchronize()
        self.ends[-1] = time.perf_counter()


def synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, default=20)
    parser.add_argument("overrides", nargs="*")
    arguments = parser.parse_args()
    register_resolvers()
    ignore_intended_warnings()
    print(describe_machine())
    with TemporaryDirectory() as folder:
        fixed = [f"paths.output_dir={folder}", "trainer.limit_val_batches=0", "scheduler=none", "trainer.max_epochs=1"]
        fixed += ["data.image_size=224", "data.batch_size=8", AUGMENTED, "callbacks.early_stopping=null"]
        fixed += [f"trainer.limit_train_batches={arguments.batches + WARMUP_BATCHES}", "monitor.name=train/loss"]
        with initialize_config_dir(str(CONF.absolute()), version_base="1.3"):
            config = compose("train", [*fixed, *arguments.overrides])
        compare(config, arguments.batches)


def compare(config: DictConfig, batches: int) -> None:
    """Time trainer.fit and the single step in turns, and print the percentages."""
    module: ChestXRayDataModule = instantiate(config.data, _convert_="all")
    module.prepare_data()
    module.setup()
    model = configured_model(config, module)
    percentages = []
    for number in range(ROUNDS):
        fitted = time_fit(config, model, module)
        resident = time_step(config, model, module, batches)
        size = config.data.batch_size
        percentages.append(100 * resident / fitted)
        print(
            f"round {number + 1}: resident batch {size / resident:,.1f} images/s, trainer.fit {size / fitted:,.1f}: "
            f"{percentages[-1]:.1f} % of ceiling",
            flush=True,
        )
    print(f"median: {statistics.median(percentages):.1f} % of ceiling, with precision {config.trainer.precision}")


def time_fit(config: DictConfig, model: ChestXRayClassifier, module: ChestXRayDataModule) -> float:
    """Seconds per batch of trainer.fit."""
    trainer = configured_trainer(config).trainer
    timer = BatchTimer()
    trainer.callbacks.append(timer)  # type: ignore[attr-defined]  # set by Lightning, not declared
    trainer.fit(model, module)
    counted = timer.ends[WARMUP_BATCHES - 1 :]
    return (counted[-1] - counted[0]) / (len(counted) - 1)


def time_step(config: DictConfig, model: ChestXRayClassifier, module: ChestXRayDataModule, batches: int) -> float:
    """Seconds per step on one batch that stays on the device."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device).train()
    optimizer = model.make_optimizer(model.parameters())
    sample = next(iter(module.train_dataloader()))
    images, targets = sample["image"].to(device), sample["target"].to(device)
    augmentation: Augmentation | None = module.augmentation
    draws = None if augmentation is None else augmentation.draw(sample["index"], seed=0, epoch=0).to(device)

    def step() -> None:
        batch = images if augmentation is None or draws is None else augmentation(images, draws)
        optimizer.zero_grad()
        with torch.autocast(device.type, torch.bfloat16, config.trainer.precision == "bf16-mixed", cache_enabled=False):
            loss = model.loss(model(batch), targets)
        loss.backward()
        optimizer.step()

    for _ in range(WARMUP_BATCHES):
        step()
    synchronize()
    started = time.perf_counter()
    for _ in range(batches):
        step()
    synchronize()
    return (time.perf_counter() - started) / batches


if __name__ == "__main__":
    main()
