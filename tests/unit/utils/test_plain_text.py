"""Text is shown as it is: on one line, without what a terminal, a spreadsheet or rich would act on."""

import unicodedata
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.progress import Progress, TextColumn

from cxr_lightning.utils.csv_files import TableWriter
from cxr_lightning.utils.plain_text import hidden_characters, visible
from cxr_lightning.utils.text_tables import TextTable, text_cell

LINE_ENDS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
MARKS = "\u061c\u200b\u200e\u200f\u2060\u2066\u2067\u2069\u202a\u202e\ufeff\U000e0041\ufe0f\u3164\ue000"


@given(st.text())
def test_what_is_shown_is_one_line_without_hidden_characters(text: str) -> None:
    shown = visible(text)
    assert len(shown.splitlines()) <= 1
    assert not [one for one in shown if unicodedata.category(one) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")]
    assert visible(shown) == shown
    assert (shown == text) == (hidden_characters(text) == "")


@pytest.mark.parametrize("character", [*LINE_ENDS, *MARKS, "\x00", "\x1b", "\x7f", "\x9b", "\udcff"], ids=ascii)
def test_each_kind_of_hidden_character_is_an_escape(character: str) -> None:
    assert visible(f"a{character}b").isascii()
    assert hidden_characters(f"a{character}b") == character


def test_letters_of_any_script_and_spaces_stay() -> None:
    for text in (
        "Épanchement pleural",
        "胸水",
        "\u0627\u0646\u0635\u0628\u0627\u0628",
        "a\u00a0b",
        "[red]",
        r"C:\x1b",
        "",
    ):
        assert visible(text) == text


def test_markup_in_any_part_of_a_table_is_shown() -> None:
    name = "[red]x[/nope] :smile: \x1b[31m"
    table = TextTable(title=name, caption=name, show_footer=True)
    table.add_column(name, footer=name)
    table.add_row(name)
    console = Console(file=StringIO(), width=200, force_terminal=True)
    console.print(table)
    console.print(text_cell(name))
    with Progress(TextColumn("{task.description}", markup=False), console=console) as bar:
        bar.add_task(visible(name))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert shown.count(r"[red]x[/nope] :smile: \x1b[31m") >= 6


def test_numbers_of_a_table_stay_numbers() -> None:
    file = StringIO()
    TableWriter(file).writerows([["-1", -1, -0.5, None, "=a", "+"], ["a\rb", "a,b", 'a"b']])
    assert file.getvalue() == "'-1,-1,-0.5,,'=a,'+\n" + r'a\rb,"a,b","a""b"' + "\n"
