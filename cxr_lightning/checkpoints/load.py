"""Checkpoints of this package, and what it exported as safetensors."""

import zipfile
from pathlib import Path
from typing import Any

from cxr_lightning.checkpoints.safetensors import read_safetensors
from cxr_lightning.models.classifier import ChestXRayClassifier
from cxr_lightning.utils.torch_io import RECORD_KEY, exported_text, load_safely


def read_checkpoint(path: str) -> dict[str, Any]:
    """The content of a checkpoint, or of an exported safetensors file, loaded without running code from it.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is a URL, damaged, or was not written by this package.
    """
    if "://" in path:
        raise ValueError(f"Expected a local checkpoint but got the URL '{path}'. Download it and check its sha256.")
    if not Path(path).is_file():
        raise FileNotFoundError(f"Expected a checkpoint at '{path}' but there is no such file. Check the path.")
    if exported_text(path) is not None:
        return read_safetensors(path)
    content = load_safely(path)
    if not isinstance(content, dict) or RECORD_KEY not in content:
        raise ValueError(
            f"Expected a checkpoint of cxr_lightning in '{path}' but it is another file. Give the best.ckpt of a run; "
            "to start training from other weights, name the file in `model.weights`."
        )
    # torch reads past a changed byte; its archives hold checksums all the same.
    if zipfile.is_zipfile(path) and (damaged := zipfile.ZipFile(path).testzip()):
        raise ValueError(f"Expected an intact checkpoint in '{path}' but '{damaged}' in it has changed. Copy it again.")
    found: dict[str, Any] = content
    return found


def load_model(path: str) -> ChestXRayClassifier:
    """A trained model from its file, in evaluation mode on the CPU; errors as in :func:`read_checkpoint`."""
    content = read_checkpoint(path)
    if exported_text(path) is not None:
        model = ChestXRayClassifier(**content["hyper_parameters"])
        model.on_load_checkpoint(content)
        model.load_state_dict(content["state_dict"])
        return model.eval()
    return ChestXRayClassifier.load_from_checkpoint(path, map_location="cpu", weights_only=True).eval()
