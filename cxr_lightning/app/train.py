"""train.py: check the settings, then import the job and run it."""

import json
import logging
from contextlib import nullcontext
from pathlib import Path
from pkgutil import resolve_name

from omegaconf import DictConfig

from cxr_lightning.app.config_check import TRAIN, check_config
from cxr_lightning.app.resolvers import digest_of
from cxr_lightning.app.version_0_1 import refuse_run_of_0_1
from cxr_lightning.training.run_folder import has_checkpoint, has_configuration, last_checkpoint, locked_run_folder
from cxr_lightning.utils.distributed import is_rank_zero
from cxr_lightning.utils.file_names import SUMMARY_FILE
from cxr_lightning.utils.paths import refuse_url

_JOB = "cxr_lightning.app.train_job:run_training"
"""Imported after the checks, since torch and Lightning take seconds."""
_PRECISIONS = frozenset({"32", "32-true", "16-mixed", "bf16-mixed"})

logger = logging.getLogger(__name__)


def train(config: DictConfig) -> float | None:
    """Train, test the best checkpoint, and write the run's folder.

    Args:
        config: ``conf/train.yaml``, composed.

    Returns:
        Best value of the monitored metric (for a sweep), or None if nothing was trained.

    Raises:
        ValueError: If the configuration or the data is wrong.
        FileNotFoundError: If a file is not there.
    """
    check_config(config, TRAIN)
    _check_settings(config)
    folder = Path(config.paths.output_dir)
    with locked_run_folder(folder) if is_rank_zero() else nullcontext():
        ckpt_path = config.ckpt_path
        if config.resume == "auto":
            refuse_run_of_0_1(config, folder)
            finished, last = (folder / SUMMARY_FILE).is_file(), last_checkpoint(folder)
            if (finished or last) and not has_configuration(folder, digest_of(config)):
                raise ValueError(
                    f"Expected a run of the same configuration in '{folder}' to resume. Give another folder."
                )
            if finished:
                return _finished_result(folder)
            ckpt_path = None if last is None else str(last)
        result: float | None = resolve_name(_JOB)(config, folder, ckpt_path)
        return result


def _finished_result(folder: Path) -> float | None:
    """Result of a run that is finished already, as in a sweep that is started again."""
    logger.info("finished already: %s", folder)
    best: float | None = json.loads((folder / SUMMARY_FILE).read_text(encoding="utf-8"))["monitor"]["best"]
    return best


def _check_settings(config: DictConfig) -> None:
    """Refuse settings that contradict each other, before data is read."""
    if not config.train and not config.test:
        raise ValueError("Expected something to do but got train=false and test=false. Leave one out.")
    if not config.train and not config.ckpt_path:
        raise ValueError("Expected a checkpoint to test with train=false but `ckpt_path` is null. Set ckpt_path=FILE.")
    if str(config.trainer.precision) not in _PRECISIONS:
        raise ValueError(
            f"Expected `trainer.precision` among {sorted(_PRECISIONS)} but got {config.trainer.precision!r}. "
            "Weights and pixel statistics are float32 here."
        )
    if config.ckpt_path:
        refuse_url(config.ckpt_path, "a local file as `ckpt_path`", "Download it first.")
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
    if config.ckpt_path and not has_checkpoint(Path(config.ckpt_path)):
        raise FileNotFoundError(
            f"Expected a checkpoint at '{config.ckpt_path}' but there is no such file. Set `ckpt_path`."
        )
