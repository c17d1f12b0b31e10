"""The verb ``evaluate``."""

from pkgutil import resolve_name

import typer

from cxr_lightning.cli.arguments import PASSED_ON

CONTEXT_SETTINGS = PASSED_ON


def evaluate(context: typer.Context) -> int:
    """Evaluate a classifier, or anybody's predictions.

    Everything after the verb is passed on to the Hydra program; ``cxr evaluate --help`` explains its settings.
    """
    code: int = resolve_name("cxr_lightning.app.entry_point:run_as_verb")("evaluate", context.args)
    return code
