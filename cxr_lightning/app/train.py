"""train.py: from a configuration to a run."""

import json
import logging
import math
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from hydra.utils import instantiate
from omegaconf import DictConfig

from cxr_lightning.app.build import build_model, build_trainer
from cxr_lightning.app.config_check import TRAIN, check_config
from cxr_lightning.app.program import silence
from cxr_lightning.training.run_folder import SUMMARY_FILE, alone_in, claim, digest, is_of, is_there, resumable
from cxr_lightning.utils.distributed import is_first_process

if TYPE_CHECKING:
    import pytorch_lightning as pl

    from cxr_lightning.data.datamodule import ChestXRayDataModule
    from cxr_lightning.models.classifier import ChestXRayClassifier

_PRECISIONS = frozenset({"32", "32-true", "16-mixed", "bf16-mixed"})

Callback = TypeVar("Callback")

logger = logging.getLogger(__name__)


def train(config: DictConfig) -> float | None:
    """Train, test the best checkpoint, and write the run's record.

    Args:
        config: ``conf/train.yaml``, composed.

    Returns:
        The best monitored number (for a sweep), or None if nothing was trained.

    Raises:
        ValueError: If the configuration or the data is wrong.
        FileNotFoundError: If a file is not there.
    """
    check_config(config, TRAIN)
    _check_plan(config)
    folder = Path(config.paths.output_dir)
    with alone_in(folder) if is_first_process() else nullcontext():
        if config.resume == "auto":
            finished, found = (folder / SUMMARY_FILE).is_file(), resumable(folder)
            if (finished or found) and not is_of(folder, config):
                raise ValueError(
                    f"Expected a run of the same configuration in '{folder}' to resume. Give another folder."
                )
            return _finished(folder) if finished else _run(config, folder, str(found) if found else None)
        return _run(config, folder, config.ckpt_path)


def _run(config: DictConfig, folder: Path, ckpt_path: str | None) -> float | None:
    own = digest(config)
    import pytorch_lightning as pl  # four seconds: only once the configuration is right

    from cxr_lightning.checkpoints.record import check_resumable, summarize, write_summary
    from cxr_lightning.checkpoints.save import read_resumable
    from cxr_lightning.data.excluded_images import write_excluded_images
    from cxr_lightning.report.curves import data_title
    from cxr_lightning.utils.precision import exact_float32

    silence()
    started = time.perf_counter()
    pl.seed_everything(config.seed, workers=True, verbose=False)
    datamodule: ChestXRayDataModule = instantiate(config.data, _convert_="all")
    datamodule.prepare_data()
    datamodule.setup()
    model = build_model(config, datamodule)
    if ckpt_path:
        ckpt_path, content = read_resumable(ckpt_path)
        max_epochs = None if config.resume == "auto" else config.trainer.max_epochs
        check_resumable(ckpt_path, content, model, training=config.train, max_epochs=max_epochs)
    trainer, history = build_trainer(config)
    history.title = data_title(model.record["data"])
    history.constant_loss = model.record["constant_loss"]["val"]
    if config.train:
        logger.info("run folder: %s%s", folder, f", going on from {Path(ckpt_path).name}" if ckpt_path else "")
        if is_first_process():
            claim(folder, own)
            (folder / SUMMARY_FILE).unlink(missing_ok=True)  # of an earlier training in this folder
        trainer.fit(model, datamodule, ckpt_path=ckpt_path, weights_only=True)
    # Before the test, which loads the best checkpoint and with it the callbacks' states of then.
    best = _best_checkpoint(trainer) or ckpt_path
    monitored = _monitored(trainer, config) if config.train else None
    rows = list(history.rows)
    if config.test:
        with exact_float32():
            trainer.test(model, datamodule, ckpt_path=best, weights_only=True, verbose=False)
    if trainer.is_global_zero:
        summary = summarize(
            rows,
            model,
            monitor={"name": config.monitor.name, "mode": config.monitor.mode, "best": monitored},
            best_checkpoint=best,
            tested=config.test and not config.trainer.fast_dev_run,
            seconds=time.perf_counter() - started,
        )
        write_summary(summary, folder)
        write_excluded_images(datamodule.manifest, folder)
        _show(summary, model, datamodule)
    return monitored


def _finished(folder: Path) -> float | None:
    """What a run had come to that is finished already: one of a sweep that is started again."""
    logger.info("finished already: %s", folder)
    best: float | None = json.loads((folder / SUMMARY_FILE).read_text(encoding="utf-8"))["monitor"]["best"]
    return best


def _check_plan(config: DictConfig) -> None:
    """Refuse what cannot be done, before data is read."""
    if not config.train and not config.test:
        raise ValueError("Expected something to do but got train=false and test=false. Leave one out.")
    if not config.train and not config.ckpt_path:
        raise ValueError("Expected a checkpoint to test with train=false but `ckpt_path` is null. Set ckpt_path=FILE.")
    if str(config.trainer.precision) not in _PRECISIONS:
        raise ValueError(
            f"Expected `trainer.precision` among {sorted(_PRECISIONS)} but got {config.trainer.precision!r}. "
            "Weights and pixel statistics are float32 here."
        )
    if config.ckpt_path and "://" in config.ckpt_path:
        raise ValueError(
            f"Expected a local file as `ckpt_path` but got the URL '{config.ckpt_path}'. Download it first."
        )
    if config.ckpt_path and Path(config.ckpt_path).suffix == ".safetensors":
        raise ValueError(
            f"Expected a checkpoint of a training as `ckpt_path` but got '{config.ckpt_path}'. evaluate.py ckpt=FILE "
            "tests it, `model.weights` starts training from it."
        )
    if config.ckpt_path and config.resume:
        raise ValueError("Expected either `ckpt_path` or `resume` but got both. `resume` finds the checkpoint itself.")
    if config.resume and not config.train:
        raise ValueError(
            "Expected training beside `resume` but got train=false. Set ckpt_path=FILE to test a checkpoint."
        )
    if config.ckpt_path and not is_there(Path(config.ckpt_path)):
        raise FileNotFoundError(
            f"Expected a checkpoint at '{config.ckpt_path}' but there is no such file. Set `ckpt_path`."
        )


def _best_checkpoint(trainer: "pl.Trainer") -> str | None:
    """The best checkpoint's path, or the last one's where nothing could be compared."""
    from cxr_lightning.training.callbacks import BestCheckpoint, LastCheckpoint

    best = _callback(trainer, BestCheckpoint)
    if best is not None and best.best_model_path:
        return str(best.best_model_path)
    last = _callback(trainer, LastCheckpoint)
    if last is None or not last.path.is_file():
        return None
    if best is not None:
        logger.warning("the monitored number was never defined; going on with the last checkpoint")
    return str(last.path)


def _monitored(trainer: "pl.Trainer", config: DictConfig) -> float | None:
    """The best monitored number; the last one where no checkpoint of the best is kept."""
    from cxr_lightning.training.callbacks import BestCheckpoint

    best = _callback(trainer, BestCheckpoint)
    score = trainer.callback_metrics.get(config.monitor.name) if best is None else best.best_model_score
    return None if score is None or not math.isfinite(float(score)) else float(score)


def _callback(trainer: "pl.Trainer", kind: type[Callback]) -> Callback | None:
    callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]  # set by Lightning's connector
    return next((callback for callback in callbacks if isinstance(callback, kind)), None)


def _show(summary: dict[str, Any], model: "ChestXRayClassifier", datamodule: "ChestXRayDataModule") -> None:
    from rich.console import Console

    from cxr_lightning.report.curves import data_title
    from cxr_lightning.report.tables import auroc_table

    console = Console()
    if summary["test"] is not None:
        targets = datamodule.targets("test")
        counts = zip((targets == 1).sum(0).tolist(), (~targets.isnan()).sum(0).tolist(), strict=True)
        positives = dict(zip(model.labels, counts, strict=True))
        macro = summary["test"]["macro_auroc"], summary["test"]["defined_labels"]
        mean = math.nan if macro[0] is None else macro[0]
        title = data_title(model.record["data"])
        console.print(
            auroc_table(model.val_auroc_by_label, model.test_auroc_by_label, positives, (mean, macro[1]), title=title)
        )
    console.print(f"run folder: {summary['run_folder']}", soft_wrap=True)
