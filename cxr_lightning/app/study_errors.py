"""Errors of a search: settings that the sweeper refuses, and a database of its study that cannot be used."""

from collections.abc import Mapping

from cxr_lightning.utils.write_errors import FREE_DISK_SPACE, causes_of

SEARCH_PACKAGES = ("optuna", "sqlalchemy")
"""Packages that only a search uses."""
_OPERATIONAL = "OperationalError"
"""Name of the class that databases have for errors of their operation; for those of settings they have others."""
_REMEDIES: Mapping[str, str] = {
    "locked": "Wait until the other program that uses it has ended, or set another file.",
    "full": FREE_DISK_SPACE,
    "unable to open": "Set a file in a folder that exists and can be written to.",
    "readonly": "Set a file that can be written to.",
}
"""What to do, by a part of sqlite's message."""
_OTHER_REMEDY = "Make it available, or set another."


def explain_search_error(error: Exception, library: str) -> Exception:
    """Convert an error of a search's library into one with a remedy.

    Args:
        error: The exception.
        library: Name of the library, one of ``SEARCH_PACKAGES``.

    Returns:
        An OSError about the study's database, if the operating system or the database is the cause; an OSError of the
        library itself unchanged; otherwise a ValueError about the settings.
    """
    if isinstance(error, OSError):
        return error
    causes = [cause for cause in causes_of(error) if isinstance(cause, OSError) or type(cause).__name__ == _OPERATIONAL]
    reason = " ".join(str(causes[-1] if causes else error).split()).removesuffix(".")
    if causes:
        remedy = next((remedy for part, remedy in _REMEDIES.items() if part in reason), _OTHER_REMEDY)
        return OSError(f"Expected the database of 'hydra.sweeper.storage' to be usable but got: {reason}. {remedy}")
    return ValueError(
        f"Expected settings of 'hydra.sweeper' that {library} accepts but it refuses them ({reason}). Correct them."
    )
