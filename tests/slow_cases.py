"""Cases of one test, most of which are tried in the slow tests alone."""

from collections.abc import Iterable

import pytest
from _pytest.mark import ParameterSet


def one_in(number: int, cases: Iterable[str]) -> list[ParameterSet]:
    """The cases, of which the first of every ``number`` is tried in the quick tests; the others are marked slow."""
    return [pytest.param(case, marks=[pytest.mark.slow] if index % number else []) for index, case in enumerate(cases)]
