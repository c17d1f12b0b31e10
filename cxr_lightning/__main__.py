"""The ``cxr`` command, also as ``python -m cxr_lightning``."""

import sys

import cxr_lightning.utils.quiet_interrupts  # noqa: F401  # before the others
from cxr_lightning.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
