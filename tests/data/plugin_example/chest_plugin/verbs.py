"""A verb of ``cxr``: one typed function."""

import json
from pathlib import Path
from typing import Annotated

import typer

from cxr_lightning.cli.registry import register_verb


@register_verb
def films(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="a data set with films.json")],
    finding: Annotated[str | None, typer.Option(help="count the films with this finding only")] = None,
) -> int:
    """Count the films of a data set.

    The exit code is 1 if there are none.
    """
    listed = json.loads((folder / "films.json").read_text(encoding="utf-8"))
    count = sum(finding is None or finding in film["findings"] for film in listed)
    print(f"{count} films")
    return int(count == 0)
