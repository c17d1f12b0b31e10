"""Cases of one test, most of which are tried in the slow tests alone."""

from collections.abc import Iterable

import pytest
from _pytest.mark import ParameterSet


def one_in(number: int, cases: Iterable[object]) -> list[ParameterSet]:
    """The cases, of which the first of every ``number`` is tried in the quick tests; the others are marked slow.

    Args:
        number: How many cases there are for each quick one.
        cases: Values of one parameter, tuples of several, or what ``pytest.param`` gives.
    """
    return [_with_marks(case, [pytest.mark.slow] if index % number else []) for index, case in enumerate(cases)]


def _with_marks(case: object, marks: list[pytest.MarkDecorator]) -> ParameterSet:
    if isinstance(case, ParameterSet):
        return pytest.param(*case.values, marks=[*case.marks, *marks], id=case.id)
    return pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=marks)
