"""Write checkpoints atomically: a killed run or a full disk leaves the previous file intact."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins import TorchCheckpointIO

from cxr_lightning.checkpoints.read import read_checkpoint
from cxr_lightning.models.classifier import ChestXRayClassifier
from cxr_lightning.utils.file_names import METADATA_FORMAT, METADATA_KEY
from cxr_lightning.utils.io import atomic_write_bytes
from cxr_lightning.utils.versions import versions
from cxr_lightning.utils.write_errors import FREE_DISK_SPACE, is_disk_full

_TORCH_WRITER = "inline_container"
"""Name of torch's writer in its error messages."""


_TRAINING_STATE = ("optimizer_states", "lr_schedulers", "loops", "callbacks")
"""Keys of a checkpoint that only a resumed training reads."""


def write_checkpoint(content: dict[str, Any], path: Path) -> None:
    """Write a checkpoint to a temporary file, then rename it; an existing file stays until then.

    Raises:
        OSError: If that fails, for example because the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write_bytes(path) as file:
            torch.save(content, file)
    except BaseException as error:
        reason = _first_error(error)
        if not isinstance(reason, OSError) and _TORCH_WRITER not in str(reason):  # such as a worker that died
            raise reason from None
        remedy = (
            "Choose another place." if isinstance(reason, OSError) and not is_disk_full(reason) else FREE_DISK_SPACE
        )
        raise OSError(
            f"Expected to write the checkpoint '{path}' but got: {getattr(reason, 'strerror', None) or reason}. "
            f"What was there is kept. {remedy}"
        ) from error


def _first_error(error: BaseException) -> BaseException:
    """The original error: torch's writer raises an error of its own when another one interrupts it.

    Contexts of the original error are not followed: a signal may arrive while an unrelated error is handled.
    """
    while _TORCH_WRITER in str(error) and error.__context__ is not None:
        error = error.__context__
    return error


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning's plugin for checkpoint files, writing them with :func:`write_checkpoint`."""

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: str | Path,
        storage_options: Any | None = None,  # noqa: ANN401  # Lightning's
    ) -> None:
        """Write a checkpoint."""
        write_checkpoint(checkpoint, Path(path))


def save_classifier(model: ChestXRayClassifier, path: Path) -> None:
    """Write a model as a checkpoint that this package and Lightning load; it holds no training state.

    Raises:
        ValueError: If there is such a file already.
        OSError: If it cannot be written.
    """
    if path.exists():
        raise ValueError(f"Expected a new file but '{path}' exists already. Choose another name.")
    content: dict[str, Any] = {
        "epoch": -1,
        "global_step": 0,
        "pytorch-lightning_version": versions()["pytorch-lightning"],
        "state_dict": model.state_dict(),
        "hyper_parameters": dict(model.hparams),
    }
    model.on_save_checkpoint(content)
    write_checkpoint(content, path)


def save_with_postprocessing(source: str, target: Path, postprocessing: Mapping[str, Any]) -> None:
    """Write a copy of a checkpoint that also carries calibration and operating points.

    The copy of a checkpoint of version 0.1 has no training state: such a training cannot be resumed.

    Args:
        source: Path of the checkpoint, which is not changed.
        target: Path of the copy.
        postprocessing: Plain values, from :meth:`~cxr_lightning.models.postprocess.PostProcessing.to_metadata`.
    """
    content = read_checkpoint(source)
    metadata = content[METADATA_KEY]
    if metadata["format"] < METADATA_FORMAT:
        content = {key: value for key, value in content.items() if key not in _TRAINING_STATE}
    content[METADATA_KEY] = {
        **metadata,
        "format": METADATA_FORMAT,
        "fitted": dict(postprocessing),
    }
    write_checkpoint(content, target)
