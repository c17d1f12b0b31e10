"""Every statement that the package makes has a sentence, and the values that the sentence names."""

import ast
import inspect
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from string import Formatter

import pandas as pd
import pytest

import cxr_lightning
from cxr_lightning.evaluation.leakage import find_overlap
from cxr_lightning.report.wording import CRITERIA, SENTENCES, sentence

Strings = dict[str, set[str]]


def calls_of(name: str) -> Iterator[tuple[ast.Call, Strings]]:
    """Calls of a function in the package's source, with the strings that names have where it is called."""
    for path in sorted(Path(cxr_lightning.__file__).parent.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
            inside = list(ast.walk(function))
            known = strings_by_name(inside)
            for node in inside:
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
                    yield node, known


def strings_by_name(nodes: list[ast.AST]) -> Strings:
    """Strings that a name is assigned, or that a loop gives it."""
    known: Strings = {}
    for node in nodes:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            targets, values = node.targets, [node.value]
        elif isinstance(node, ast.For) and isinstance(node.iter, ast.Tuple):
            targets, values = [node.target], [value for value in node.iter.elts if isinstance(value, ast.Constant)]
        else:
            continue
        for target in targets:
            if isinstance(target, ast.Name):
                known.setdefault(target.id, set()).update(str(value.value) for value in values)
    return known


def strings_of(node: ast.expr, known: Strings) -> set[str]:
    """All that an expression can be; fails where it cannot be told."""
    if isinstance(node, ast.Constant):
        return {str(node.value)}
    if isinstance(node, ast.Name):
        return known[node.id]
    if isinstance(node, ast.FormattedValue):
        return strings_of(node.value, known)
    if isinstance(node, ast.IfExp):
        return strings_of(node.body, known) | strings_of(node.orelse, known)
    assert isinstance(node, ast.JoinedStr), ast.unparse(node)
    return {"".join(parts) for parts in product(*(strings_of(part, known) for part in node.values))}


def codes_of(name: str) -> set[str]:
    return {code for call, known in calls_of(name) for code in strings_of(call.args[0], known)}


def values_in(code: str) -> set[str]:
    """Names of the values in a sentence."""
    wording = SENTENCES[code]
    if isinstance(wording, str):
        return {name for _, name, _, _ in Formatter().parse(wording) if name is not None}
    return set(inspect.signature(wording).parameters)


def test_every_statement_has_a_sentence_and_every_sentence_a_statement() -> None:
    assert codes_of("statement") == set(SENTENCES)


def test_every_criterion_has_a_name_and_every_name_a_criterion() -> None:
    assert codes_of("Criterion") == set(CRITERIA)


def test_statements_have_the_values_that_their_sentences_name() -> None:
    for call, known in calls_of("statement"):
        given = {keyword.arg for keyword in call.keywords}
        for code in strings_of(call.args[0], known):
            # None stands for `**values`: tests/unit/evaluation formats those.
            assert None in given or given == values_in(code), code


@pytest.mark.parametrize(("split", "words"), [("train", "was trained on"), ("val", "epochs were compared on")])
def test_overlap_is_said(split: str, words: str) -> None:
    evaluated = pd.DataFrame({"patient_id": ["1", "1", "2"]})
    then = pd.DataFrame({"patient_id": ["1", "3"], "split": [split, "test"]})
    (found,) = find_overlap(evaluated, then)
    assert sentence(found).startswith("2 of the 3 evaluated images are of patients that")
    assert words in sentence(found)


def test_no_statement_says_nothing() -> None:
    assert sentence(None) == ""
