"""The ``cxr`` command, a module per verb."""

from cxr_lightning.cli.main import main

__all__ = ["main"]
