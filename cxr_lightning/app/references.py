"""References between settings, ``${other}``: how much they make of a configuration, before any of them is resolved."""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import OmegaConf

from cxr_lightning.app.reference_grammar import Reference, parse_references
from cxr_lightning.app.yaml_files import MAX_LEVELS, MAX_REFERENCE_CHARACTERS, MAX_REFERENCES, check_reference

MAX_SIZE = 4_000_000
"""Maximum number of characters of a configuration in which every reference is replaced by what it refers to."""
MAX_CHAIN = 2 * MAX_LEVELS
"""Maximum number of nodes and references on the way to a value."""
_MAX_DIGITS = 10
_OF_ONE_KEY = {
    "run_folder": ("hydra", "run", "dir"),
    "from_rank_zero": ("hydra", "run", "dir"),
    "job_folder": ("hydra", "sweep", "subdir"),
    "hydra_folder": ("hydra", "output_subdir"),
}
"""Resolvers that look for folders or make them, and the only key whose value they may be."""
_GIVEN, _GIVEN_IN_ONE = ("hydra", "overrides"), ("hydra", "job", "override_dirname")
"""Keys in which Hydra repeats the overrides of the command line."""

Path = tuple[Any, ...]
"""Keys and indices from the root to a value."""


def check_references(content: dict[Any, Any]) -> None:
    """Refuse a configuration that would grow without bounds when it is resolved.

    Args:
        content: The configuration as plain values, unresolved.

    Raises:
        ValueError: If values refer to themselves, grow too much, or refer to what only their resolving tells.
    """
    sizes = _Sizes(content)
    try:
        sizes.size_of(())
    except RecursionError as error:
        raise ValueError(
            "Expected settings within each other up to a bound but there are more. Shorten them."
        ) from error


@dataclass
class _Sizes:
    """Sizes of values, in characters, with what they refer to.

    Attributes:
        content: The configuration.
        known: Sizes by path.
        chains: Number of nodes and references from a path to its furthest value.
        active: Paths whose size is being found, each within the one before, and the longest chain below it so far.
        children: Keys of mappings by path and by text.
        references: Number of references so far.
        characters: Number of characters of the values that refer to others so far.
    """

    content: dict[Any, Any]
    known: dict[Path, int] = field(default_factory=dict)
    chains: dict[Path, int] = field(default_factory=dict)
    active: dict[Path, int] = field(default_factory=dict)
    children: dict[Path, dict[str, Any]] = field(default_factory=dict)
    references: int = 0
    characters: int = 0

    def size_of(self, path: Path) -> int:
        """Size of the value at a path that exists."""
        if path in self.known:
            self._extend_chain(self.chains[path])
            return self.known[path]
        if path in self.active:
            raise ValueError(f"Expected settings that end but '{_dotted(path)}' refers to itself. Write it out.")
        self.active[path] = 0
        self._extend_chain(0)
        value = self._value(path)
        if isinstance(value, dict):
            size = 1 + sum(len(str(name)) + self.size_of((*path, name)) for name in value)
        elif isinstance(value, list):
            size = 1 + sum(self.size_of((*path, index)) for index in range(len(value)))
        else:
            size = 1 + len(value) + self._size_referred(path, value) if isinstance(value, str) else 1
        self.chains[path] = self.active.pop(path) + 1
        self._extend_chain(self.chains[path])
        if size > MAX_SIZE:
            raise ValueError(
                f"Expected at most {MAX_SIZE:,} characters of settings but '{_dotted(path) or 'all'}' has {size:,} "
                "with what it refers to. Write less."
            )
        self.known[path] = size
        return size

    def _extend_chain(self, length: int) -> None:
        """Remember what follows the value that is being measured, if that is longer than what is known."""
        if not self.active:
            return
        last = next(reversed(self.active))
        self.active[last] = max(self.active[last], length)
        if len(self.active) + length > MAX_CHAIN:
            raise ValueError(
                f"Expected at most {MAX_CHAIN} nodes and references on the way to a value but there are more in "
                f"'{_dotted(last)}'. Write them out."
            )

    def _size_referred(self, path: Path, text: str) -> int:
        if "${" not in text:
            return 0
        self.characters += len(text)
        if self.characters > MAX_REFERENCE_CHARACTERS:
            raise ValueError(
                f"Expected at most {MAX_REFERENCE_CHARACTERS:,} characters in all values with ${{...}} but there are "
                "more. Write less."
            )
        check_reference(text, f"in '{_dotted(path)}'")
        found = parse_references(text, _dotted(path))
        self.references += len(found.references) + len(found.resolvers)
        if self.references > MAX_REFERENCES:
            raise ValueError(f"Expected at most {MAX_REFERENCES:,} references ${{...}} but there are more. Write less.")
        for name in found.resolvers:
            if path != _OF_ONE_KEY.get(name, path) and path[: len(_GIVEN)] != _GIVEN and path != _GIVEN_IN_ONE:
                raise ValueError(
                    f"Expected '{name}' in '{_dotted(_OF_ONE_KEY[name])}' alone but it is in '{_dotted(path)}'. "
                    "Write the folder out."
                )
        return sum(self._size_at(path, reference) for reference in found.references)

    def _size_at(self, path: Path, reference: Reference) -> int:
        """Size of what is referred to, 0 if it does not exist; an upper bound where it is in what a function makes."""
        current: Path = path[: max(len(path) - reference.dots, 0)] if reference.dots else ()
        steps = 0
        for key in reference.keys:
            while isinstance(value := self._value(current), str):
                steps += 1
                found = parse_references(value, _dotted(current)) if "${" in value else None
                if found is None or steps > MAX_CHAIN:
                    return 0 if found is None else self.size_of(current)
                target = self._target(current, found.references[0]) if found.is_one else None
                if target is None:
                    return self.size_of(current)
                current = target
            child = self._child(current, value, key)
            if child is None:
                return 0
            current = (*current, child)
        return self.size_of(current)

    def _target(self, path: Path, reference: Reference) -> Path | None:
        """The path to which a reference leads without further ones on its way; None if it does not."""
        current: Path = path[: max(len(path) - reference.dots, 0)] if reference.dots else ()
        for key in reference.keys:
            child = self._child(current, self._value(current), key)
            if child is None:
                return None
            current = (*current, child)
        return current

    def _value(self, path: Path) -> Any:  # noqa: ANN401  # any YAML value
        value: Any = self.content
        for key in path:
            value = value[key]
        return value

    def _child(self, path: Path, value: object, key: str) -> Any:  # noqa: ANN401  # any key of YAML
        """The key or index of a node's child that a text names; None if it has none."""
        if isinstance(value, dict):
            if path not in self.children:
                self.children[path] = {str(name): name for name in reversed(value)}  # the first of the same text counts
            return self.children[path].get(key)
        is_index = isinstance(value, list) and key.isdecimal() and len(key) < _MAX_DIGITS and int(key) < len(value)
        return int(key) if is_index else None


def plain_content(config: Any) -> dict[Any, Any]:  # noqa: ANN401  # a DictConfig with any values
    """A configuration as plain values, unresolved.

    Args:
        config: The configuration.
    """
    content: Any = OmegaConf.to_container(config, resolve=False)
    return content if isinstance(content, dict) else {}


def _dotted(path: Path) -> str:
    return ".".join(map(str, path))
