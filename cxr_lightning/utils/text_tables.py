"""The one way of tables to the terminal: no control characters, and no markup of rich, whatever a name holds."""

from typing import Any

from rich.console import Console, RenderableType
from rich.style import StyleType
from rich.table import Table
from rich.text import Text

from cxr_lightning.utils.plain_text import visible

_PLAIN: dict[str, Any] = {"markup": False, "emoji": False, "highlight": False}
"""Nothing is taken for markup, emoji codes or to be colored."""


def error_console() -> Console:
    """The console of standard error, for bars of progress; it takes nothing for markup, emoji codes or a color."""
    return Console(stderr=True, **_PLAIN)


def text_cell(text: object, style: StyleType = "") -> Text:
    """A text for rich, shown as it is; ends of lines that are meant are made by the caller, around such texts."""
    return Text(visible(str(text)), style=style)


class TextTable(Table):
    """A table of rich whose title, caption, headers and cells are shown as they are.

    Args:
        title: Title; empty for none.
        caption: Caption; empty for none.
        **options: Those of rich's table.
    """

    def __init__(self, *, title: str = "", caption: str = "", **options: Any) -> None:  # noqa: ANN401  # rich's
        super().__init__(
            title=text_cell(title, "table.title") if title else None,
            caption=text_cell(caption, "table.caption") if caption else None,
            **options,
        )

    def add_column(self, header: RenderableType = "", footer: RenderableType = "", **options: Any) -> None:  # noqa: ANN401  # rich's
        """Add a column; a text as header or footer is shown as it is."""
        super().add_column(_shown(header), _shown(footer), **options)

    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:  # noqa: ANN401  # rich's
        """Add a row; texts are shown as they are."""
        super().add_row(*map(_shown, cells), **options)


def show_table(table: TextTable) -> None:
    """Print a table on standard output; for lines there is :func:`~cxr_lightning.utils.terminal.say`."""
    Console(**_PLAIN).print(table)


def _shown(cell: RenderableType | None) -> Any:  # noqa: ANN401  # as rich's own signatures differ
    return text_cell(cell) if isinstance(cell, str) else cell
