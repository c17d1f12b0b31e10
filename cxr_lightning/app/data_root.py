"""The data set's folder, which both programs take as ``root`` and as ``data.root``."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

ROOT, DATA_ROOT = "root", "data.root"
_CHOOSES_DATA = re.compile(r"[+~]*data(@\S*)?(=|$)")


def apply_root(config: DictConfig, overrides: Sequence[str]) -> None:
    """Set ``data.root`` to ``root`` where that is given alone.

    Args:
        config: The composed configuration.
        overrides: The ``key=value`` that were given, beside the defaults.
    """
    is_given = any(override.lstrip("+").startswith(f"{DATA_ROOT}=") for override in overrides)
    if config.get(ROOT) and OmegaConf.is_dict(config.get("data")) and not is_given:
        with open_dict(config):
            config.data.root = config.root


def root_contradictions(root: str | None, data: Mapping[str, Any] | None) -> Iterator[str]:
    """Describe a ``root`` that differs from ``data.root``, after :func:`apply_root`."""
    if root and data is not None and data.get("root") != root:
        yield f"Expected one folder of the data but got root={root} and data.root={data.get('root')}. Give one of them."


def without_data_node(overrides: Sequence[str]) -> list[str]:
    """Overrides of evaluate.py with ``root`` in place of ``data.root`` where no data is chosen, so no key to set.

    Args:
        overrides: The command line, or overrides from Python.

    Example:
        >>> without_data_node(["ckpt=latest", "data.root=/data/nih"])
        ['ckpt=latest', 'root=/data/nih']
        >>> without_data_node(["data=nih", "data.root=/data/nih"])
        ['data=nih', 'data.root=/data/nih']

    Raises:
        ValueError: If both are given, and differ.
    """
    if any(_CHOOSES_DATA.match(override) for override in overrides):
        return list(overrides)
    renamed = [re.sub(rf"^{re.escape(DATA_ROOT)}=", f"{ROOT}=", override) for override in overrides]
    folders = list(dict.fromkeys(text for text in renamed if text.startswith(f"{ROOT}=")))
    if len(folders) > 1 and renamed != list(overrides):
        raise ValueError(f"Expected one folder of the data but got {' and '.join(folders)}. Give one of them.")
    return renamed
