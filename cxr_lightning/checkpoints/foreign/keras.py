"""Keras weight files of a DenseNet: HDF5 in any layout, or a ``.keras`` archive."""

import tempfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
import torch

from cxr_lightning.checkpoints.foreign.foreign_weights import ForeignWeights, check_finite
from cxr_lightning.checkpoints.foreign.hdf5 import HDF5Contents, list_contents, read_arrays
from cxr_lightning.checkpoints.foreign.keras_config import (
    check_keras_config,
    infer_batch_norm_epsilon,
    infer_final_relu,
    parse_keras_config,
)
from cxr_lightning.checkpoints.foreign.keras_layouts import read_keras_layers
from cxr_lightning.checkpoints.foreign.keras_mapping import map_weights, to_torch_layout
from cxr_lightning.utils.paths import escapes_root
from cxr_lightning.utils.plain_text import one_line_reason

WEIGHTS_MEMBER = "model.weights.h5"
"""Name of the HDF5 file in a ``.keras`` archive."""

_CONFIG_MEMBER = "config.json"
_MAX_WEIGHTS_BYTES = 1 << 30
_MAX_CONFIG_BYTES = 20_000_000
_MAX_COMPRESSION_RATIO = 20
_COMPRESSION_ALLOWANCE = 65_536


def read_keras_hdf5(path: Path, config_text: str | None = None, *, display_path: Path | None = None) -> ForeignWeights:
    """Read the network in a Keras HDF5 file.

    Args:
        path: The file.
        config_text: The model's configuration, if it is stored elsewhere; empty if there is none.
        display_path: Path that messages name instead, if the file was unpacked from another.

    Raises:
        ValueError: If it is damaged, hostile, or not exactly a DenseNet with at most one dense layer.
    """
    shown = display_path or path
    contents = list_contents(path, display_path=shown)
    if config_text is None:
        config_text = str(contents.attributes[""].get("model_config", ""))
    try:
        config = parse_keras_config(config_text)
        layers = read_keras_layers(contents)
        mapping = map_weights(layers, contents.shapes)
        check_keras_config(config)
        epsilon, epsilon_decision = infer_batch_norm_epsilon(config)
        final_relu, final_relu_decision = infer_final_relu(config, contents)
    except ValueError as error:
        raise ValueError(
            f"Expected the weights of a Keras DenseNet in '{shown}' but {error}. "
            "Give a file of DenseNet-121, -169 or -201."
        ) from error
    arrays = read_arrays(path, list(mapping.datasets.values()), display_path=shown)
    state = {
        name: torch.from_numpy(to_torch_layout(name, array.astype(np.float32, copy=False)))
        for name, array in zip(mapping.datasets, arrays, strict=True)
    }
    check_finite(state, shown)
    return ForeignWeights(
        state=state,
        blocks=mapping.blocks,
        num_outputs=mapping.num_outputs,
        batch_norm_epsilon=epsilon,
        final_relu=final_relu,
        labels=None,
        format=f"Keras {_keras_version(contents)}, {len(layers)} layers with weights",
        decisions=(epsilon_decision, final_relu_decision),
        from_keras=True,
        head_name=mapping.head_name,
    )


def _keras_version(contents: HDF5Contents) -> object:
    """Version of Keras that wrote the file, as its attributes state it."""
    version = contents.attributes[""].get("keras_version")
    return version or contents.attributes.get("model_weights", {}).get("keras_version", "of unknown version")


def read_keras_archive(path: Path) -> ForeignWeights:
    """Read the network in a ``.keras`` archive; errors as in :func:`read_keras_hdf5`."""
    try:
        with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory() as folder:
            weights, config = _find_members(archive, path)
            unpacked = Path(folder) / WEIGHTS_MEMBER
            _unpack(archive, weights, unpacked, path)
            text = archive.read(config).decode("utf-8", errors="replace") if config is not None else ""
            return read_keras_hdf5(unpacked, text, display_path=path)
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError) as error:
        raise ValueError(_refusal(path, f"it is damaged ({one_line_reason(error)})")) from error


def _find_members(archive: zipfile.ZipFile, path: Path) -> tuple[zipfile.ZipInfo, zipfile.ZipInfo | None]:
    """The member with the weights, and the one with the configuration if there is one; unsafe archives are refused."""
    members = archive.infolist()
    outside = [member.filename for member in members if escapes_root(member.filename)]
    if outside:
        raise ValueError(_refusal(path, f"the path of its member {outside[0]!r} leads out of the archive"))
    if any(member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for member in members):
        raise ValueError(_refusal(path, "it is compressed by another method than Keras uses"))
    by_name = {member.filename: member for member in members}
    if len(by_name) != len(members) or WEIGHTS_MEMBER not in by_name:
        raise ValueError(_refusal(path, f"its members are {list(by_name)[:5]}, where one {WEIGHTS_MEMBER} is needed"))
    config = by_name.get(_CONFIG_MEMBER)
    for member, max_bytes in ((by_name[WEIGHTS_MEMBER], _MAX_WEIGHTS_BYTES), (config, _MAX_CONFIG_BYTES)):
        if member is not None and member.file_size > min(max_bytes, _max_unpacked(member)):
            raise ValueError(
                _refusal(
                    path,
                    f"'{member.filename}' claims {member.file_size:,} bytes unpacked from {member.compress_size:,}",
                )
            )
    return by_name[WEIGHTS_MEMBER], config


def _max_unpacked(member: zipfile.ZipInfo) -> int:
    return _MAX_COMPRESSION_RATIO * member.compress_size + _COMPRESSION_ALLOWANCE


def _unpack(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, path: Path) -> None:
    """Copy a member's bytes to a file, and refuse a member that unpacks to more than it claims."""
    remaining = member.file_size
    with archive.open(member) as stream, target.open("wb") as file:
        while chunk := stream.read(1 << 20):
            remaining -= len(chunk)
            if remaining < 0:
                raise ValueError(_refusal(path, f"'{member.filename}' unpacks to more than it claims"))
            file.write(chunk)


def _refusal(path: Path, reason: str) -> str:
    return f"Expected a .keras archive in '{path}' but {reason}. Download or save it again."
