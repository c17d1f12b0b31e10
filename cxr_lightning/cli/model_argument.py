"""The model that a verb is given."""

from cxr_lightning.utils.latest_model import LATEST, model_file
from cxr_lightning.utils.terminal import say_error


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
    say_error(f"model: {file}")
    return str(file)
