"""Read checkpoints of this package, and safetensors files that it exported, without Lightning."""

import zipfile
from pathlib import Path
from typing import Any

from cxr_lightning.checkpoints.checkpoint_model import check_content
from cxr_lightning.checkpoints.metadata import exported_description
from cxr_lightning.checkpoints.safetensors import read_safetensors
from cxr_lightning.losses.contract import LOSS_PREFIX
from cxr_lightning.models.backbones.registry import check_recorded_backbone
from cxr_lightning.models.reference_pair import ReferencePair
from cxr_lightning.models.trained_model import NETWORK_PREFIX, LoadedModel, build_network
from cxr_lightning.models.version_0_1 import current_names
from cxr_lightning.utils.file_names import METADATA_KEY, REFERENCE_KEY
from cxr_lightning.utils.json_values import null_to_nan
from cxr_lightning.utils.paths import file_problem, refuse_url
from cxr_lightning.utils.plain_text import one_line_reason
from cxr_lightning.utils.torch_io import load_safely

BUILD_ERRORS = (TypeError, ValueError, KeyError, RuntimeError)
"""Errors of building a model from a file's settings, and of loading tensors into it."""


def read_checkpoint(path: str) -> dict[str, Any]:
    """The content of a checkpoint, or of an exported safetensors file, loaded without running code from it.

    The tensors have their current names, also those of a file of version 0.1.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is a URL, damaged, was not written by this package, or its metadata breaks a rule.
    """
    refuse_url(path, "a local checkpoint")
    if problem := file_problem(path):
        raise FileNotFoundError(f"Expected a checkpoint at '{path}' but {problem}. Check the path.")
    if Path(path).suffix.lower() == ".onnx":
        raise ValueError(
            f"Expected a checkpoint or safetensors file but '{path}' is an ONNX file, which only predicts and "
            "explains. Give the checkpoint that it was exported from."
        )
    return read_safetensors(path) if exported_description(path) is not None else _read_torch_file(path)


def _read_torch_file(path: str) -> dict[str, Any]:
    content = load_safely(path)
    if not isinstance(content, dict) or METADATA_KEY not in content:
        raise ValueError(
            f"Expected a checkpoint of cxr_lightning in '{path}' but it is another file. Give the best.ckpt of a run; "
            "to start training from other weights, name the file in `model.weights`."
        )
    # torch does not verify the checksums in its archives, and would load changed bytes.
    if zipfile.is_zipfile(path) and (damaged := zipfile.ZipFile(path).testzip()):
        raise ValueError(f"Expected an intact checkpoint in '{path}' but '{damaged}' in it has changed. Copy it again.")
    check_content(content, path)
    return {**content, "state_dict": current_names(content["state_dict"])}


def load_trained_model(path: str) -> LoadedModel:
    """The model in a checkpoint or exported safetensors file, in evaluation mode on the CPU.

    Errors are those of :func:`read_checkpoint`, and of
    :func:`~cxr_lightning.models.backbones.registry.check_recorded_backbone`.
    """
    content = read_checkpoint(path)
    settings = content["hyper_parameters"]
    check_recorded_backbone(settings, path)
    try:
        network = build_network(settings)
        network.load_state_dict(_network_state(content["state_dict"]))
    except BUILD_ERRORS as error:
        raise not_this_version(path, error) from error
    metadata = dict(content[METADATA_KEY])
    auroc = {label: null_to_nan(value) for label, value in (metadata.pop("val_auroc", None) or {}).items()}
    reference = ReferencePair(**content[REFERENCE_KEY]) if REFERENCE_KEY in content else None
    loss = {name: value for name, value in content["state_dict"].items() if name.startswith(LOSS_PREFIX)}
    return LoadedModel(network.eval(), tuple(settings["labels"]), settings, metadata, reference, auroc, loss)


def _network_state(state: dict[str, Any]) -> dict[str, Any]:
    """The network's tensors by its own names; what else a file holds is of its training."""
    return {
        name.removeprefix(NETWORK_PREFIX): value for name, value in state.items() if name.startswith(NETWORK_PREFIX)
    }


def not_this_version(path: str, error: Exception) -> ValueError:
    """The error about a file whose model cannot be built.

    Args:
        path: The file.
        error: One of ``BUILD_ERRORS``.
    """
    return ValueError(
        f"Expected a model of this version of cxr_lightning in '{path}' but it cannot be built "
        f"({type(error).__name__}: {one_line_reason(error, 300)}). Copy the file again, or install the version that "
        "wrote it."
    )
