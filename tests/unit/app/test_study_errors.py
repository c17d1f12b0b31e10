"""Errors of a search are about its settings, unless the study's database cannot be used."""

import sqlite3
import types

import pytest

from cxr_lightning.app.errors import explain_error


def raised_in(library: str, error: Exception, cause: Exception | None = None) -> Exception:
    """The exception as code of a library raises it."""
    module = types.ModuleType(f"{library}.storages")
    exec("def fail(error, cause):\n    raise error from cause", module.__dict__)
    with pytest.raises(type(error)) as caught:
        module.fail(error, cause)
    return caught.value


class OperationalError(Exception):
    """As in sqlalchemy, whose message holds the statement as well."""


@pytest.mark.parametrize(
    ("error", "cause", "kind", "words"),
    [
        (
            ValueError("no study"),
            None,
            ValueError,
            r"'hydra.sweeper' that optuna accepts .* \(no study\)\. Correct them",
        ),
        (OperationalError("x [SQL]"), sqlite3.OperationalError("database is locked"), OSError, "is locked. Wait until"),
        (RuntimeError("commit"), sqlite3.OperationalError("database or disk is full"), OSError, "Free disk space"),
        (RuntimeError("commit"), OSError(5, "Input/output error"), OSError, "but got: .*Input/output error. Make it"),
        (OperationalError("no such table: trials"), None, OSError, "no such table: trials. Make it available"),
        (RuntimeError("x"), sqlite3.IntegrityError("UNIQUE failed"), ValueError, "Correct them"),
    ],
    ids=repr,
)
def test_an_error_of_a_search_says_whether_its_settings_or_its_database_are_wrong(
    error: Exception, cause: Exception | None, kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        raise explain_error(raised_in("optuna", error, cause))


def test_an_error_of_the_system_stays_as_it_is() -> None:
    error = raised_in("optuna", OSError(28, "No space left on device"))
    assert explain_error(error) is error
