"""``python -m cxr_lightning`` is the ``cxr`` command."""

import sys

from cxr_lightning.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
