"""Composition of the configuration by Hydra, with every override that does not fit it in one message."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import InterpolationResolutionError, OmegaConfBaseException

from cxr_lightning.app.errors import describe_refused
from cxr_lightning.app.unknown_names import describe_unknown_choice, describe_unknown_key, join_problems
from cxr_lightning.app.written_arguments import written_arguments
from cxr_lightning.utils.command_line import override_key
from cxr_lightning.utils.plain_text import shorten
from cxr_lightning.utils.suggestions import did_you_mean, suggested_names

_UNKNOWN_KEY = re.compile(r"Could not (?:override|delete from config\.) '([^']+)'")
_ADDED_GROUP = re.compile(r"(?:Multiple values for |force-add of config groups is not supported: '\+\+)([\w/]+)")
_CHOSEN_TWICE = re.compile(r"([\w/]+) appears more than once")
_ADDED_KEY = re.compile(r"Could not append to config\. An item is already at '([^']+)'")
_MERGED = re.compile(r"Error merging override (.+)")
_UNFIT_FILE = re.compile(r"In '([^']+)': \w+ raised while\s+composing config:\s*(.+)")
_PATTERNS = (_UNKNOWN_KEY, _ADDED_GROUP, _CHOSEN_TWICE, _ADDED_KEY)
_OPEN_GROUPS = ("callbacks", "logger")
"""Groups whose entries have names of the user's choice."""
MAX_OVERRIDE_LENGTH = 20_000
"""Maximum number of characters of an override, which Hydra parses in a second."""
_MAX_ELSEWHERE = 3
_NO_CHOICE = "Config group override must be a string"
_EXTRA_HINT = " Other launchers and sweepers need the extra: uv run --extra sweep ..."


class WrongOverridesError(ValueError):
    """Overrides that do not fit the configuration.

    Args:
        problems: What is wrong, a sentence each.
        config: The configuration that the other overrides make.
        others: These other overrides.
        choices_are_known: Whether all choices of groups exist, so that other settings can be checked as well.
    """

    def __init__(self, problems: list[str], config: DictConfig, others: list[str], *, choices_are_known: bool) -> None:
        super().__init__(join_problems(problems))
        self.problems = problems
        self.config = config
        self.others = others
        self.choices_are_known = choices_are_known


def compose_checked(name: str, overrides: Sequence[str], *, return_hydra_config: bool = False) -> DictConfig:
    """Compose a file of ``conf/``; Hydra is initialized already.

    Args:
        name: Name of the file.
        overrides: As on the command line, ``key=value``.
        return_hydra_config: Whether Hydra's own settings are returned as well.

    Raises:
        WrongOverridesError: If overrides name keys or choices that do not exist; all of them in one message.
        HydraException: If the configuration cannot be composed for another reason.
    """
    check_lengths(overrides)
    given = list(overrides)
    wrong: list[tuple[str, Exception]] = []
    while True:
        try:
            config = compose(name, given, return_hydra_config=True)
        except OverrideParseException:
            raise
        except (HydraException, OmegaConfBaseException, ValueError, AssertionError) as error:
            culprit = _find_culprit(error, given)
            if culprit is None:
                raise _explained(error) from error
            given.remove(culprit)  # and go on, to find all of them
            wrong.append((culprit, error))
        else:
            break
    if wrong:
        choices_are_known = not any(map(_is_about_choice, wrong))
        raise WrongOverridesError(
            list(_problems(wrong, config)), config, given, choices_are_known=choices_are_known
        ) from wrong[0][1]
    if not return_hydra_config:
        with open_dict(config):
            del config["hydra"]
    return config


def check_lengths(overrides: Sequence[str]) -> None:
    """Refuse overrides that are so long that parsing them would take minutes: Hydra's time grows with the square.

    Args:
        overrides: As on the command line, ``key=value``.

    Raises:
        ValueError: If one is.
    """
    for override in overrides:
        if len(override) > MAX_OVERRIDE_LENGTH:
            raise ValueError(
                f"Expected settings of at most {MAX_OVERRIDE_LENGTH:,} characters but '{shorten(override, 50)}' has "
                f"{len(override):,}. Put the value into a file, and name the file's folder by --config-dir."
            )


def _find_culprit(error: Exception, overrides: Sequence[str]) -> str | None:
    """The override that an error of Hydra is about; None if it is about a file, or is not known."""
    text = str(error)
    if isinstance(error, MissingConfigException):
        group, _, choice = str(error.missing_cfg_file).rpartition("/")
        named = (override for override in overrides if choice in override)
        return next((override for override in named if override_key(override) == group), None)
    if found := next(filter(None, (pattern.match(text) for pattern in _PATTERNS)), None):
        keys = [override for override in overrides if override_key(override) == found[1]]
        added = [override for override in keys if override.startswith("+")]
        return next(iter(added or keys), None)
    if _NO_CHOICE in text:
        groups = [*_groups(), *(f"hydra/{group}" for group in _groups("hydra"))]
        chosen = (override for override in overrides if override_key(override) in groups)
        return next((override for override in chosen if _is_no_choice(override)), None)
    return None


def _is_about_choice(wrong: tuple[str, Exception]) -> bool:
    key = override_key(wrong[0])
    is_group = "." not in key and (key in _groups() or bool(did_you_mean(key, _groups())))
    return is_group or isinstance(wrong[1], MissingConfigException)


def _is_no_choice(override: str) -> bool:
    """Whether Hydra reads the value as something else than a name, or names, of files."""
    parsed = OverridesParser.create().parse_override(override)
    return not parsed.is_delete() and not isinstance(parsed.value(), str | list)


def _explained(error: Exception) -> Exception:
    """An error about a file of the configuration, or that Hydra does not describe, as one for users."""
    if isinstance(error, InterpolationResolutionError):  # it is told as that of any setting
        return error
    if isinstance(error, MissingConfigException) and "/" in str(error.missing_cfg_file):
        file = re.match(r"In '([^']+)'", str(error))
        where = f" It is in '{file[1]}'." if file and "/" in file[1] and not file[1].startswith("hydra/") else ""
        return ValueError(f"{_unknown_choice(error)}{where}")
    if found := _MERGED.match(str(error)):
        reason = str(error.__cause__ or "").strip().partition("\n")[0].removesuffix(".")
        return ValueError(f"Expected another value in '{found[1]}' ({reason}). Correct it.")
    if found := _UNFIT_FILE.match(str(error)):
        return ValueError(f"Expected known keys and values in '{found[1]}' but: {found[2]}. Correct them.")
    return ValueError(describe_refused(error))


def _problems(wrong: Sequence[tuple[str, Exception]], config: DictConfig) -> Iterator[str]:
    refused = [override_key(override) for override, error in wrong if isinstance(error, MissingConfigException)]
    for override, error in wrong:
        key = override_key(override)
        if any(key.startswith(f"{group}.") for group in refused):  # the right choice may have that key
            continue
        if isinstance(error, MissingConfigException):
            yield _unknown_choice(error)
        elif _NO_CHOICE in str(error):
            remedy = f"Give {key}=none" if "none" in _choices(key) else "Leave it out, or choose one"
            yield f"Expected a choice of '{key}' but got {override}. {remedy}. Choices: {', '.join(_choices(key))}."
        elif override.startswith("+") and not _UNKNOWN_KEY.match(str(error)):
            yield f"Expected '{override.lstrip('+')}' but got '{override}'. '{key}' exists: leave out the '+'."
        else:
            yield _unknown_key(key, config)


def _unknown_choice(error: MissingConfigException) -> str:
    group, _, choice = str(error.missing_cfg_file).rpartition("/")
    hint = _EXTRA_HINT if group in ("hydra/launcher", "hydra/sweeper") else ""
    return describe_unknown_choice(group, choice, _choices(group)) + hint


def _unknown_key(key: str, config: DictConfig) -> str:
    if "/" in key or "@" in key:
        return _unknown_group(key.partition("@")[0])
    if key.startswith("data.") and "data" not in config:  # evaluate.py, whose data settings are the checkpoint's
        return f"Expected a known key but got '{key}'. Choose the data as well, such as data=nih."
    parent, node = _innermost_node(key, config)
    name = key.removeprefix(f"{parent}.").partition(".")[0]
    unknown = f"{parent}.{name}" if parent else name
    names = [other for other in map(str, node) if other != "hydra"]
    if name in names:
        return f"Expected a known key but got '{key}': '{unknown}' has no keys. Leave it out."
    if name in _choices(parent):
        return f"Expected a known key but got '{key}'. Choose {parent}={name} as well."
    groups = {*_groups()} & {*map(str, config.hydra.runtime.choices)}  # the others are of another program
    if not parent and name in groups:
        return f"Expected a known key but got '{key}': no choice of '{name}' is made. Choose {name}=NAME as well."
    taken = _arguments_of(node)
    if key == unknown and name in taken:
        return f"Expected '+' before a key that no file sets but got '{key}'. Add it: +{key}=VALUE."
    further = taken - set(names)
    if nearest := further & set(suggested_names(did_you_mean(name, {*names, *further}))):
        return f"Expected a known key but got '{key}'. {did_you_mean(name, nearest, f'+{parent}.')}"
    if elsewhere := _same_name_elsewhere(name, config):
        return f"Expected a known key but got '{key}'. Did you mean {' or '.join(map(repr, elsewhere))}?"
    described = describe_unknown_key(unknown, names if parent else [*names, *groups])
    is_new_entry = parent in _OPEN_GROUPS and "Did you mean" not in described
    return f"{described} A new one is added with '+': +{unknown}={{_target_: ...}}." if is_new_entry else described


def _same_name_elsewhere(name: str, config: DictConfig) -> list[str]:
    """Keys of plain settings in other nodes that end with a name, such as ``optimizer.lr`` for ``lr``."""
    nodes: Any = OmegaConf.to_container(config)  # nothing is resolved: values may refer to what Hydra sets later
    found = [
        f"{group}.{other}"
        for group, node in nodes.items()
        if group not in ("hydra", *_OPEN_GROUPS) and isinstance(node, dict)
        for other in map(str, node)
        if other == name or other.endswith(f"_{name}")
    ]
    exact = [key for key in found if key.endswith(f".{name}")]
    return exact or found if len(exact or found) <= _MAX_ELSEWHERE else []


def _arguments_of(node: DictConfig) -> frozenset[str]:
    """Names of the arguments that a node's class or function takes, as far as its source tells."""
    arguments = written_arguments(str(node["_target_"])) if "_target_" in node else None
    return frozenset() if arguments is None else frozenset(arguments.types)


def _unknown_group(key: str) -> str:
    parent, _, name = key.rpartition("/")
    if name in _choices(parent):
        return f"Expected a choice as '{parent}=NAME' but got '{key}'. Did you mean '{parent}={name}'?"
    prefix = f"{parent}/" if parent else ""
    hint = did_you_mean(name, _groups(parent), prefix) or f"Known are {', '.join(_groups(parent))}."
    return f"Expected a known group but got '{key}'. {hint}"


def _innermost_node(key: str, config: DictConfig) -> tuple[str, DictConfig]:
    """The innermost node that exists on the way to a key, with its own key, which is empty for the configuration."""
    parent = key.rpartition(".")[0]
    while parent:
        node = OmegaConf.select(config, parent, throw_on_missing=False)
        if isinstance(node, DictConfig):
            return parent, node
        parent = parent.rpartition(".")[0]
    return "", config


def _groups(parent: str = "") -> list[str]:
    found: list[str] = GlobalHydra.instance().config_loader().list_groups(parent)
    return [name for name in found if name != "hydra"]


def _choices(group: str) -> list[str]:
    found: list[str] = GlobalHydra.instance().config_loader().get_group_options(group)
    return [name for name in found if name != "base"]
