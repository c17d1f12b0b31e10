"""The ``cxr`` command: a module per verb in ``verbs``, from which ``main`` makes the command line."""

from cxr_lightning.cli.main import main

__all__ = ["main"]
