"""The documentation: links lead somewhere, blocks say what they are, pages stay short enough to read."""

import re
import tomllib
from itertools import pairwise

import pytest

from tests.documentation import CODE, COMMANDS, KERAS, OUTPUT, PAGES, ROOT, blocks_of, commands_of

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_FENCED = re.compile(r"^( *)```.*?^\1```$", re.MULTILINE | re.DOTALL)
_LANGUAGES = (COMMANDS, OUTPUT, CODE, KERAS, "yaml", "toml")


def anchors_of(text: str) -> list[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", _FENCED.sub("", text), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


@pytest.mark.parametrize("page", [*PAGES, "CHANGELOG.md", "benchmarks/RESULTS.md"])
def test_every_relative_link_leads_to_a_file_and_a_heading(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for link in _LINK.findall(_FENCED.sub("", text)):
        if "://" in link:
            continue
        file, _, anchor = link.partition("#")
        target = (ROOT / page).parent / file if file else ROOT / page
        assert target.exists(), f"{page}: {link}"
        assert not anchor or anchor in anchors_of(target.read_text(encoding="utf-8")), f"{page}: {link}"


def test_every_page_is_linked_from_the_readme() -> None:
    linked = set(_LINK.findall((ROOT / "README.md").read_text(encoding="utf-8")))
    pages = {f"docs/{path.name}" for path in (ROOT / "docs").iterdir() if path.suffix in (".md", ".ipynb")}
    assert pages <= linked


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 150


@pytest.mark.parametrize("page", PAGES)
def test_blocks_say_what_they_are_and_name_extras_that_exist(page: str) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for block in blocks_of(page):
        assert block.language in _LANGUAGES, f"{page}:{block.line}"
        if block.language == COMMANDS:
            for words in commands_of(block):
                named = [after for word, after in pairwise(words) if word == "--extra"]
                assert set(named) <= set(extras), f"{page}:{block.line}"
