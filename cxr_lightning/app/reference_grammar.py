"""The grammar of ``${...}`` in settings: what a value refers to, and which functions it calls."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from omegaconf.errors import GrammarParseError
from omegaconf.grammar.gen.OmegaConfGrammarParser import OmegaConfGrammarParser
from omegaconf.grammar_parser import parse

from cxr_lightning.utils.plain_text import shorten

_OF_KEYS = {"hydra": ("hydra",), "oc.select": (), "oc.deprecated": (), "oc.dict.keys": (), "oc.dict.values": ()}
"""Resolvers whose first argument is a key, and where that key is."""
_DECODED = re.compile(r"\$\{oc\.env:\w+(,[\w.+-]*)?\}")
"""The argument that OmegaConf's ``oc.decode`` may have: in others it would look for references again."""
_PLAIN = re.compile(r"\$\{(\.*)([a-zA-Z_][a-zA-Z_0-9]*(?:\.[a-zA-Z_][a-zA-Z_0-9]*)*)\}")
"""A value that is one reference, by names alone; most are, and parsing takes long."""
_MAX_SHOWN = 120


@dataclass(frozen=True)
class Reference:
    """A reference of a value to another one.

    Attributes:
        dots: Number of dots before the keys; 0 from the root.
        keys: The keys.
    """

    dots: int
    keys: tuple[str, ...]


@dataclass(frozen=True)
class References:
    """The references and the calls of functions in a value.

    Attributes:
        references: What it refers to.
        resolvers: Names of the functions that it calls.
        is_one: Whether the value is one reference, and so may be a node.
    """

    references: tuple[Reference, ...]
    resolvers: tuple[str, ...]
    is_one: bool


def parse_references(text: str, key: str) -> References:
    """Parse a value that refers to others.

    Args:
        text: The value.
        key: Its dotted key, for errors.

    Raises:
        ValueError: If it is not of the grammar, or refers to what only its resolving tells.
    """
    try:
        return _parse(text)
    except GrammarParseError as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"Expected ${{...}} of OmegaConf's grammar in '{key}' but: {reason}. Correct it.") from error
    except _HiddenReferenceError as error:
        raise ValueError(f"Expected {error} in '{key}' but got {shorten(text, _MAX_SHOWN)}. Write it out.") from error


class _HiddenReferenceError(ValueError):
    """A value that refers to what only its resolving tells; the message says what is expected instead."""


@lru_cache(maxsize=4096)
def _parse(text: str) -> References:
    if plain := _PLAIN.fullmatch(text):
        return References((Reference(len(plain[1]), tuple(plain[2].split("."))),), (), is_one=True)
    tree: Any = parse(text)
    references: list[Reference] = []
    resolvers: list[str] = []
    for node in _interpolations(tree):
        if isinstance(node, OmegaConfGrammarParser.InterpolationNodeContext):
            references.append(_reference(node))
        else:
            resolvers.append(name := _resolver(node))
            references += _reference_of_resolver(name, node)
    top = tree.getChild(0)
    single = top.getChild(0) if top.getChildCount() == 1 else None
    is_one = isinstance(single, OmegaConfGrammarParser.InterpolationContext) and not resolvers
    return References(tuple(references), tuple(resolvers), is_one and len(references) == 1)


def _interpolations(tree: Any) -> Iterator[Any]:  # noqa: ANN401  # antlr's trees have no types
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(
            node,
            OmegaConfGrammarParser.InterpolationNodeContext | OmegaConfGrammarParser.InterpolationResolverContext,
        ):
            yield node
        waiting += [node.getChild(index) for index in range(node.getChildCount())]


def _reference(node: Any) -> Reference:  # noqa: ANN401  # antlr's trees have no types
    children = [node.getChild(index) for index in range(node.getChildCount())]
    keys = [child.getText() for child in children if isinstance(child, OmegaConfGrammarParser.ConfigKeyContext)]
    if any("${" in key for key in keys):
        raise _HiddenReferenceError("no references by name")
    before = children[1 : next(index for index, child in enumerate(children) if child.getChildCount())]
    return Reference(sum(child.getText() == "." for child in before), tuple(keys))


def _resolver(node: Any) -> str:  # noqa: ANN401  # antlr's trees have no types
    name: str = node.resolverName().getText()
    if "${" in name:
        raise _HiddenReferenceError("no functions by name")
    if name == "oc.create" or (name == "oc.decode" and not _DECODED.fullmatch(_first_argument(node))):
        raise _HiddenReferenceError(f"no '{name}', which hides what it makes,")
    return name


def _reference_of_resolver(name: str, node: Any) -> Iterator[Reference]:  # noqa: ANN401  # antlr's trees have no types
    if name not in _OF_KEYS:
        return
    key = _first_argument(node)
    if "${" in key:
        raise _HiddenReferenceError("no references by name")
    plain = key.lstrip(".")
    keys = [part for part in plain.replace("[", ".").replace("]", "").split(".") if part]
    yield Reference(len(key) - len(plain), (*_OF_KEYS[name], *keys))


def _first_argument(node: Any) -> str:  # noqa: ANN401  # antlr's trees have no types
    sequence = node.sequence()
    text: str = sequence.element(0).getText() if sequence is not None and sequence.element(0) else ""
    return text.strip().strip("'\"")
