"""The verb ``train``."""

from pkgutil import resolve_name

import typer

from cxr_lightning.cli.arguments import PASSED_ON

CONTEXT_SETTINGS = PASSED_ON


def train(context: typer.Context) -> int:
    """Train a classifier and test its best checkpoint.

    Everything after the verb is passed on to the Hydra program; ``cxr train --help`` explains its settings.
    """
    code: int = resolve_name("cxr_lightning.app.entry_point:run_as_verb")("train", context.args)
    return code
