"""The model that a verb is given."""

import sys

from cxr_lightning.utils.latest_model import LATEST, model_file


def named_model(given: str) -> str:
    """The file of a model; where it is ``latest``, the file is named on standard error.

    Args:
        given: The command line's word.

    Raises:
        FileNotFoundError: If it is ``latest``, and there is no run.
    """
    if given != LATEST:
        return given
    file = model_file(given)
    print(f"model: {file}", file=sys.stderr)
    return str(file)
