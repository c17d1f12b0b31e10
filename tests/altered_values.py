"""Values from a file in which one was replaced: by another type, a huge number, text of another kind."""

import copy
from collections.abc import Iterator
from typing import Any

import torch
from hypothesis import strategies as st

STRANGERS: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 7, 2**40, 2**62, -(2**63), 10**30, 0.5, -1.5, 1e308, float("nan"), float("inf")),
    *("", "x", "\x1b[31m\r\n", "x" * 1_000_000, "os.system", "../../x", "imagenet", "[red]x[/nope]", "$\\frac"),
    *([], {}, [[]], {"a": 1}, ["x", 1], [None] * 1000, {"_instantiator": "os.system"}, [0.5] * 3),
)
"""What takes a value's place, in JSON and elsewhere."""
TENSORS: tuple[Any, ...] = (
    *(torch.tensor(1.0), torch.ones(3), torch.zeros(0), torch.ones(2, 2, dtype=torch.int64), torch.ones(1).bool()),
    torch.ones(1).expand(10**12),
    torch.full((3,), float("nan")),
)
"""What takes a value's place in PyTorch's files."""

Place = tuple[Any, ...]


def places(content: object, place: Place = ()) -> Iterator[Place]:
    """Every place in nested mappings and lists that holds something, also those that hold others."""
    if place:
        yield place
    pairs = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in pairs:
        yield from places(value, (*place, key))


def replaced(content: Any, place: Place, value: object) -> Any:
    """The same content with another value at a place."""
    changed = copy.copy(content)
    key, rest = place[0], place[1:]
    changed[key] = replaced(content[key], rest, value) if rest else value
    return changed


def removed(content: Any, place: Place) -> Any:
    """The same content without what is at a place."""
    changed = copy.copy(content)
    if len(place) > 1:
        changed[place[0]] = removed(content[place[0]], place[1:])
    else:
        del changed[place[0]]
    return changed


@st.composite
def altered(draw: st.DrawFn, content: Any, strangers: tuple[Any, ...] = STRANGERS) -> tuple[Any, Place]:
    """A content in which one value was replaced or removed, and where."""
    place = draw(st.sampled_from(list(places(content))))
    if draw(st.integers(0, 9)) == 0:
        return removed(content, place), place
    return replaced(content, place, draw(st.sampled_from(strangers))), place
