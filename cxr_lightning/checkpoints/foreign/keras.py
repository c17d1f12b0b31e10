"""Keras files of a DenseNet: HDF5 in any layout, or a ``.keras`` archive."""

import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cxr_lightning.checkpoints.foreign.hdf5 import list_contents, read_arrays
from cxr_lightning.checkpoints.foreign.keras_config import check_config, epsilon, final_relu, parse_config
from cxr_lightning.checkpoints.foreign.keras_densenet import plan, turned
from cxr_lightning.checkpoints.foreign.keras_layouts import read_layers
from cxr_lightning.checkpoints.foreign.source import Source, check_finite

_WEIGHTS, _CONFIG = "model.weights.h5", "config.json"
_MOST_BYTES = 1 << 30
_MOST_CONFIG = 20_000_000
_MOST_EXPANSION = 20


def read_hdf5(path: Path, config: Mapping[str, Any] | None = None, *, origin: Path | None = None) -> Source:
    """The network in a Keras HDF5 file.

    Args:
        path: The file.
        config: The model's configuration, if it is elsewhere.
        origin: What messages call the file, if it is a part of another.

    Raises:
        ValueError: If it is damaged, hostile, or not exactly a DenseNet with at most one dense layer.
    """
    named = origin or path
    contents = list_contents(path, origin=named)
    own = config if config is not None else parse_config(str(contents.attributes[""].get("model_config", "")))
    try:
        layers = read_layers(contents)
        found = plan(layers, contents.shapes)
        check_config(own)
        decisions = (epsilon(own), final_relu(own, contents))
    except ValueError as error:
        raise ValueError(
            f"Expected the weights of a Keras DenseNet in '{named}' but {error}. "
            "Give a file of DenseNet-121, -169 or -201."
        ) from error
    names, paths = list(found.sources), list(found.sources.values())
    arrays = read_arrays(path, paths, origin=named)
    state = {
        name: torch.from_numpy(turned(name, array.astype(np.float32, copy=False)))
        for name, array in zip(names, arrays, strict=True)
    }
    check_finite(state, named)
    version = contents.attributes[""].get("keras_version") or contents.attributes.get("model_weights", {}).get(
        "keras_version", "of unknown version"
    )
    return Source(
        state=state,
        blocks=found.blocks,
        outputs=found.outputs,
        batch_norm_epsilon=decisions[0][0],
        final_relu=decisions[1][0],
        labels=None,
        format=f"Keras {version}, {len(layers)} layers with weights",
        decisions=tuple(words for _, words in decisions),
        keras=True,
        head=found.head,
    )


def read_archive(path: Path) -> Source:
    """The network in a ``.keras`` archive; errors as in :func:`read_hdf5`."""
    try:
        with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory() as folder:
            weights, config = _members(archive, path)
            unpacked = Path(folder) / _WEIGHTS
            _unpack(archive, weights, unpacked, path)
            text = archive.read(config).decode("utf-8", errors="replace") if config is not None else ""
            return read_hdf5(unpacked, parse_config(text) or {}, origin=path)
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError) as error:
        raise ValueError(_broken(path, f"it is damaged ({' '.join(str(error).split())[:200]})")) from error


def _members(archive: zipfile.ZipFile, path: Path) -> tuple[zipfile.ZipInfo, zipfile.ZipInfo | None]:
    """The member with weights, and the one with the configuration if there is one."""
    members = archive.infolist()
    outside = [member.filename for member in members if _leads_out(member.filename)]
    if outside:
        raise ValueError(_broken(path, f"it has a member outside of itself, {outside[0]!r}"))
    if any(member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for member in members):
        raise ValueError(_broken(path, "it is compressed in another way than Keras does"))
    by_name = {member.filename: member for member in members}
    if len(by_name) != len(members) or _WEIGHTS not in by_name:
        raise ValueError(_broken(path, f"its members are {list(by_name)[:5]}, where one {_WEIGHTS} is needed"))
    config = by_name.get(_CONFIG)
    for member, most in ((by_name[_WEIGHTS], _MOST_BYTES), (config, _MOST_CONFIG)):
        if member is not None and member.file_size > min(most, _MOST_EXPANSION * member.compress_size + 65_536):
            raise ValueError(
                _broken(
                    path,
                    f"'{member.filename}' claims {member.file_size:,} bytes unpacked from {member.compress_size:,}",
                )
            )
    return by_name[_WEIGHTS], config


def _leads_out(name: str) -> bool:
    return name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/") or ":" in name[:3]


def _unpack(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, path: Path) -> None:
    """Copy a member's bytes, no more than it claimed."""
    left = member.file_size
    with archive.open(member) as source, target.open("wb") as file:
        while chunk := source.read(1 << 20):
            left -= len(chunk)
            if left < 0:
                raise ValueError(_broken(path, f"'{member.filename}' unpacks to more than it claims"))
            file.write(chunk)


def _broken(path: Path, reason: str) -> str:
    return f"Expected a .keras archive in '{path}' but {reason}. Download or save it again."
