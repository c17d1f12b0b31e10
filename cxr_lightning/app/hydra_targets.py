"""Checks of what Hydra itself makes from a configuration: callbacks, launchers, sweepers and samplers.

Each is one of :mod:`cxr_lightning.app.hydra_target_lists`, with settings that are listed there.
"""

import re
from collections.abc import Mapping
from enum import Enum
from pathlib import PurePath
from typing import Any

from cxr_lightning.app.hydra_folders import SWEEP_FOLDER, check_no_folder, check_visible, shown_folders
from cxr_lightning.app.hydra_target_lists import (
    CALLBACKS,
    CMA_ES,
    FOLDER,
    LAUNCHERS,
    NO_ITEMS,
    PARAMETERS,
    SAMPLERS,
    SQLITE,
    STORAGE,
    SWEEPERS,
)

MAX_PARAMETERS = 200
MAX_PARAMETER_LENGTH = 10_000
"""Maximum number of characters of a parameter of a sweep."""
JOB_FILES = ".submitit"
"""Folder in a sweep's with the files by which submitit starts jobs and reads their results: pickles, which run code."""


def check_targets(sections: Mapping[str, Mapping[Any, Any] | None]) -> None:
    """Refuse callbacks, launchers and sweepers that are not listed, and settings of them that are not.

    Args:
        sections: ``hydra.callbacks``, ``hydra.launcher`` and ``hydra.sweeper``, resolved; None where there is none.

    Raises:
        ValueError: If there is one; the message names it.
    """
    for name, callback in (sections["callbacks"] or {}).items():
        if callback is not None:
            _check_part(f"hydra.callbacks.{name}", callback, CALLBACKS)
    if (launcher := sections["launcher"]) is not None:
        _check_part("hydra.launcher", launcher, LAUNCHERS)
    if (sweeper := sections["sweeper"]) is not None:
        rest = dict(sweeper)
        sampler = rest.pop("sampler", None)
        if sampler is not None:
            _check_part("hydra.sweeper.sampler", sampler, SAMPLERS)
        _check_part("hydra.sweeper", rest, SWEEPERS)
        if sampler is not None and sampler["_target_"] == CMA_ES and rest.get("storage") is not None:
            raise ValueError(
                f"Expected no 'hydra.sweeper.storage' with {CMA_ES} but got {_shown(rest['storage'])}: the sampler "
                "reads pickles there, which run code. Leave it out, or choose another sampler."
            )


def check_storage(storage: object) -> None:
    """Refuse a database that a file of settings would have elsewhere than in its sweep's or the current folder.

    Args:
        storage: The resolved ``hydra.sweeper.storage``, which fits the rule ``STORAGE``.

    Raises:
        ValueError: If it is elsewhere.
    """
    if not isinstance(storage, str):
        return
    path = PurePath(storage.removeprefix(SQLITE))
    inside = PurePath(str(path).removeprefix(f"{SWEEP_FOLDER}/")) if path.is_relative_to(SWEEP_FOLDER) else path
    if inside.anchor or ".." in inside.parts or str(inside).startswith("file:"):
        raise ValueError(
            "Expected a database in the current folder or in that of the sweep as 'hydra.sweeper.storage' in a file "
            f"but got {_shown(storage)}. Write {SQLITE}NAME.db there, or give it on the command line."
        )


def _check_part(key: str, node: object, kinds: Mapping[str, Mapping[str, str]]) -> None:
    """Check a node: its ``_target_``, and that each of its settings has a value that is listed."""
    if not isinstance(node, Mapping):
        raise ValueError(f"Expected settings with a `_target_` as '{key}' but got {node!r}. Leave it out.")
    target = node.get("_target_")
    rules = kinds.get(target) if isinstance(target, str) else None
    if rules is None:
        raise ValueError(
            f"Expected '{key}._target_' to be one of {list(kinds)} but got {_shown(target)}. Other code is not run "
            "from a configuration."
        )
    for name, value in node.items():
        if name == "_target_":
            continue
        if name not in rules:
            raise ValueError(
                f"Expected no '{key}.{name}' but got {_shown(value)}: it may run other code. Leave it out."
            )
        _check_value(f"{key}.{name}", value, rules[name])


def _check_value(key: str, value: object, rule: str) -> None:
    if rule == PARAMETERS:
        _check_parameters(key, value)
    elif rule == NO_ITEMS:
        if value not in (None, [], {}):
            raise ValueError(
                f"Expected no items in '{key}' but got {_shown(value)}. Other code is not run: leave it out."
            )
    elif rule == FOLDER:
        if value != f"{SWEEP_FOLDER}/{JOB_FILES}/%j":
            raise ValueError(
                f"Expected '{key}' to be a folder in that of the sweep but it is another one: results are read as "
                "pickles there. Leave it out."
            )
    elif isinstance(value, Mapping | list) or not re.fullmatch(rule, _text(value)):
        raise ValueError(
            f"Expected '{key}' to be like {rule} but got {_shown(value)}. Other code is not run from a "
            "configuration: correct it."
        )
    else:
        _check_text(key, _text(value).replace(SWEEP_FOLDER, "") if rule == STORAGE else _text(value))


def _check_parameters(key: str, parameters: object) -> None:
    """Check what a sweeper searches: settings of the jobs, not Hydra's."""
    if parameters is None:
        return
    if not isinstance(parameters, Mapping) or len(parameters) > MAX_PARAMETERS:
        raise ValueError(f"Expected at most {MAX_PARAMETERS} settings with their values as '{key}'. Correct it.")
    for name, value in parameters.items():
        if isinstance(value, Mapping | list) or len(f"{name}{value}") > MAX_PARAMETER_LENGTH:
            raise ValueError(
                f"Expected text of at most {MAX_PARAMETER_LENGTH:,} characters as '{key}.{name}'. Correct it."
            )
        if re.match(r"[+~]*hydra\b", str(name)):
            raise ValueError(f"Expected a search over settings but got '{key}.{name}'. Leave Hydra's own settings out.")
        _check_text(f"{key}.{name}", f"{name}{value}")


def _check_text(key: str, text: str) -> None:
    check_visible(key, text)
    check_no_folder(key, text)


def _text(value: object) -> str:
    if value is None:
        return "null"
    return value.name if isinstance(value, Enum) else str(value)


def _shown(value: object) -> str:
    text = shown_folders(_text(value))
    return repr(text if len(text) <= 200 else f"{text[:200]}...")
