"""The pages of the documentation, and the commands and code in them."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "CONTRIBUTING.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")))
COMMANDS, OUTPUT, CODE, KERAS = "", "text", "python", "py"
"""Languages of blocks: shell commands, what is printed, code that runs here, and lines of the Keras walk-through."""
_BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes:
        page: The page's path in the repository.
        line: The first line of the block's content, from 1.
        language: What is written behind the fence.
        content: The content.
    """

    page: str
    line: int
    language: str
    content: str


def blocks_of(page: str) -> Iterator[Block]:
    """The fenced blocks of a page, in their order."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for found in _BLOCK.finditer(text):
        content = "\n".join(line.removeprefix(found[1]) for line in found[3].splitlines())
        yield Block(page, text[: found.start()].count("\n") + 2, found[2], content)


def commands_of(block: Block) -> Iterator[list[str]]:
    """The commands of a block as lists of words; comments are left out, and continued lines are joined."""
    for line in block.content.replace("\\\n", " ").splitlines():
        if words := shlex.split(line, comments=True):
            yield words
