"""The settings by which a training is recognized, from its composed configuration."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from cxr_lightning.training.run_settings import DATA_FOLDER, RunSettings

_REFERENCE = re.compile(r"\$\{([\w.]+)\}")
"""The text of a value that is another key's."""
_PLACE = re.compile(r"\$\{(paths\.|hydra:)")
"""Interpolations that stand for a place of this run."""


def settings_of(config: DictConfig) -> RunSettings:
    """The settings of a run that say which run it is.

    Args:
        config: ``conf/train.yaml``, composed; the values that count are resolved, places of files are left out.
    """
    values: dict[str, Any] = {}
    references: dict[str, str] = {}
    raw: Any = OmegaConf.to_container(config)
    for key, text in _leaves(raw):
        if key.startswith("hydra.") or text == "???" or _PLACE.search(str(text)):
            continue
        try:
            value = OmegaConf.select(config, key) if "${" in str(text) else text
        except OmegaConfBaseException:  # a wrong setting, which the checks of the configuration name
            value = text
        if OmegaConf.is_config(value):
            if isinstance(value, DictConfig):
                continue  # a reference to a node, whose settings stand at its own key
            value = OmegaConf.to_container(value, resolve=True)
        if isinstance(text, str) and (reference := _REFERENCE.fullmatch(text)):
            references[key] = reference[1]
        values[key] = value
    if folder := config.get("root") or values.get(DATA_FOLDER):  # two names of one setting
        values[DATA_FOLDER] = str(Path(str(folder)).resolve())
    return RunSettings.of(values, references)


def _leaves(node: Any, key: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401  # any YAML value
    """Every value that is no mapping, with its dotted key; an empty mapping has none."""
    if isinstance(node, dict):
        for name, value in node.items():
            yield from _leaves(value, f"{key}.{name}" if key else str(name))
    else:
        yield key, node
