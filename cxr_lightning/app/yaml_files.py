"""YAML files of other people: read whole or refused in one line, however large, deep or endless they are.

Every file that Hydra composes and every record of a run goes through :func:`load_yaml`.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from omegaconf._utils import get_yaml_loader
from yaml.events import AliasEvent, CollectionStartEvent, Event, MappingEndEvent, ScalarEvent, SequenceEndEvent

from cxr_lightning.utils.regular_files import FileTooLargeError, NotRegularFileError, read_limited

MAX_BYTES = 250_000
MAX_NODES = 20_000
"""Maximum number of entries of a file, each as often as aliases repeat it; a long text counts as several."""
MAX_LEVELS = 40
MAX_ALIASES = 100
MAX_WORD_LENGTH = 1_000
"""Maximum number of characters of a value that is, or could be, a number: one without quotes or blanks, say."""
MAX_REFERENCES = 1_000
MAX_REFERENCE_LENGTH = 4_000
"""Maximum number of characters of a value that refers to others."""
MAX_REFERENCE_CHARACTERS = 50_000
"""Maximum number of characters of all values that refer to others; OmegaConf parses some 30,000 in a second."""
MAX_NESTED_REFERENCES = 10
_CHARACTERS_OF_A_NODE = 100
_NUMBER = re.compile(r"\s*[-+]?[0-9a-fA-FoOxX._:,-]+\s*")
"""What could be a number, also in quotes."""
_TAGS_OF_NUMBERS = tuple(f"tag:yaml.org,2002:{name}" for name in ("int", "float", "bool", "null"))
_TAGS = frozenset(f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq"))


def load_yaml(path: Path) -> Any:  # noqa: ANN401  # any YAML value
    """Load a file of settings: a mapping or a list, None if it is empty.

    Args:
        path: The file.

    Raises:
        ValueError: If it is no file of YAML settings, or is too large, too deep or grows too much by its aliases.
        OSError: If it cannot be read.
    """
    return parse_yaml(read_text(path), path)


def read_text(path: Path) -> str:
    """Read a regular file of at most ``MAX_BYTES``; a pipe or a device is neither waited for nor read.

    Args:
        path: The file.

    Raises:
        ValueError: If it is no regular file, is too large or is not UTF-8.
        OSError: If it cannot be read.
    """
    try:
        content = read_limited(path, MAX_BYTES)
    except (NotRegularFileError, IsADirectoryError) as error:
        raise ValueError(f"Expected a regular file of settings but '{path}' is none. Name a YAML file.") from error
    except FileTooLargeError as error:
        raise ValueError(f"Expected a file of settings as '{path}' but {error.strerror}. Shorten it.") from error
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"Expected UTF-8 in '{path}' but byte {error.start} is not. Save it as UTF-8.") from error


def parse_yaml(text: str, path: Path) -> Any:  # noqa: ANN401  # any YAML value
    """Parse the text of a file of settings: a mapping or a list, None if it is empty.

    Args:
        text: The text.
        path: The file, for errors.

    Raises:
        ValueError: If it is no YAML of settings, is too deep or grows too much by its aliases.
    """
    bounds = _Bounds(path)
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            bounds.count(event)
        found = yaml.load(text, Loader=get_yaml_loader())  # OmegaConf's own, which is a safe one
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f" in line {error.problem_mark.line + 1}"
        raise ValueError(f"Expected YAML in '{path}' but{line}: {error.problem}. Correct it.") from error
    except (yaml.YAMLError, RecursionError, TypeError, OverflowError) as error:
        raise ValueError(f"Expected YAML in '{path}' but: {' '.join(str(error).split())}. Correct it.") from error
    except ValueError as error:
        if str(error).startswith("Expected"):
            raise
        raise ValueError(f"Expected YAML in '{path}' but: {error}. Correct it.") from error
    if not isinstance(found, dict | list | None):
        raise ValueError(f"Expected a mapping or a list of settings in '{path}' but it is one value. Correct it.")
    return found


@dataclass
class _Bounds:
    """Counts of the parts of a file's YAML that have been read so far.

    Attributes:
        path: The file.
        open: The anchor, and the number of nodes before it, of each collection that is not over.
        sizes: Number of nodes by anchor; None as long as that node is not over.
        nodes: Number of all nodes.
        aliases: Number of aliases.
        references: Number of values that refer to others.
        characters: Number of characters of those.
    """

    path: Path
    open: list[tuple[str | None, int]] = field(default_factory=list)
    sizes: dict[str, int | None] = field(default_factory=dict)
    nodes: int = 0
    aliases: int = 0
    references: int = 0
    characters: int = 0

    def count(self, event: Event) -> None:
        """Count a part of the file.

        Raises:
            ValueError: If there are too many, or of other kinds than settings are.
        """
        if isinstance(event, CollectionStartEvent):
            self._check_tag(event.tag)
            self.open.append((event.anchor, self.nodes))
            self.nodes += 1
            if event.anchor is not None:
                self.sizes[event.anchor] = None
            self._require(len(self.open) <= MAX_LEVELS, f"at most {MAX_LEVELS} levels of settings", "has more")
        elif isinstance(event, MappingEndEvent | SequenceEndEvent):
            anchor, before = self.open.pop()
            if anchor is not None:
                self.sizes[anchor] = self.nodes - before
        elif isinstance(event, AliasEvent):
            size = self.sizes.get(event.anchor, 0)
            self._require(size is not None, "settings that end", f"repeats '*{event.anchor}' within itself")
            self.aliases += 1
            self.nodes += size or 0
            self._require(self.aliases <= MAX_ALIASES, f"at most {MAX_ALIASES} aliases", "has more")
        elif isinstance(event, ScalarEvent):
            self._count_scalar(event)
        self._require(self.nodes <= MAX_NODES, f"at most {MAX_NODES:,} settings", "has more, with what aliases repeat")

    def _count_scalar(self, event: ScalarEvent) -> None:
        self._check_tag(event.tag)
        size = 1 + len(event.value) // _CHARACTERS_OF_A_NODE
        self.nodes += size
        if event.anchor is not None:
            self.sizes[event.anchor] = size
        is_plain = event.style is None and len(event.value.split(maxsplit=1)) == 1
        is_word = is_plain or event.tag in _TAGS_OF_NUMBERS or _NUMBER.fullmatch(event.value) is not None
        self._require(
            not is_word or len(event.value) <= MAX_WORD_LENGTH,
            f"words of at most {MAX_WORD_LENGTH:,} characters",
            "has a longer one",
        )
        if "${" in event.value:
            self.references += 1
            self._require(self.references <= MAX_REFERENCES, f"at most {MAX_REFERENCES:,} references", "has more")
            self.characters += len(event.value)
            self._require(
                self.characters <= MAX_REFERENCE_CHARACTERS,
                f"at most {MAX_REFERENCE_CHARACTERS:,} characters in all values with ${{...}}",
                "has more",
            )
            check_reference(event.value, f"in '{self.path}'")

    def _check_tag(self, tag: str | None) -> None:
        self._require(tag in _TAGS or tag in (None, "!"), "plain YAML", f"has the tag {tag}")

    def _require(self, condition: bool, expected: str, problem: str) -> None:
        if not condition:
            raise ValueError(f"Expected {expected} in '{self.path}' but it {problem}. Correct it.")


def check_reference(text: str, place: str) -> None:
    """Refuse a value that refers to others and is too long, or too deep, to be parsed in a short time.

    Args:
        text: The value.
        place: Where it is, for errors.

    Raises:
        ValueError: If it is.
    """
    if len(text) > MAX_REFERENCE_LENGTH:
        raise ValueError(
            f"Expected at most {MAX_REFERENCE_LENGTH:,} characters in a value with ${{...}} {place} but "
            f"{text[:50]!r}... has {len(text):,}. Shorten it."
        )
    depth = 0
    for position, character in enumerate(text):
        if character == "{" and text[position - 1 : position] == "$":
            depth += 1
        elif character == "}":
            depth = max(depth - 1, 0)
        if depth > MAX_NESTED_REFERENCES:
            raise ValueError(
                f"Expected at most {MAX_NESTED_REFERENCES} levels of ${{...}} {place} but {text[:50]!r}... has more. "
                "Write values out."
            )
