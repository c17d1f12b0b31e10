"""Sentences about keys and choices that do not exist. Imports nothing heavy: `--help` is quick."""

from collections.abc import Collection

from cxr_lightning.utils.suggestions import did_you_mean

HYDRA_KEYS = ("_target_", "_partial_")
"""Keys of a node that are no arguments of its target."""
_MAX_NAMES = 20
"""Maximum number of names that are listed where none is near."""


def describe_unknown_key(full: str, known: Collection[str]) -> str:
    """Describe an unknown key, with the nearest known one of the same node.

    Args:
        full: The dotted key.
        known: Names of the known keys in its node.
    """
    parent, dot, name = full.rpartition(".")
    names = sorted({*known} - {*HYDRA_KEYS})
    listed = f"Known are {', '.join(names[:_MAX_NAMES])}{', ...' if len(names) > _MAX_NAMES else ''}."
    return f"Expected a known key but got '{full}'. {did_you_mean(name, names, parent + dot) or listed}"


def describe_unknown_choice(group: str, choice: str, choices: Collection[str]) -> str:
    """Describe a choice that a group of the configuration does not have.

    Args:
        group: Name of the group, such as ``model``.
        choice: The unknown choice.
        choices: All of the group; ``base``, which the others build on, is not offered.
    """
    offered = sorted({*choices} - {"base"})
    hint = did_you_mean(choice, offered)
    return f"Expected a choice of '{group}' but got '{choice}'. {hint}{' ' * bool(hint)}Choices: {', '.join(offered)}."


def join_problems(problems: list[str]) -> str:
    """One message of one or several problems."""
    if len(problems) == 1:
        return problems[0]
    listed = " ".join(f"({number}) {problem}" for number, problem in enumerate(problems, start=1))
    return f"Expected valid settings but {len(problems)} are wrong. {listed}"
