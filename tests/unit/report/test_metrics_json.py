import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from cxr_lightning.evaluation.comparability import Comparability, Criterion
from cxr_lightning.evaluation.results import Evaluation
from cxr_lightning.evaluation.statements import statement
from cxr_lightning.metrics.bootstrap import Estimate
from cxr_lightning.report.metrics_json import metrics_json, metrics_schema, write_metrics_json
from cxr_lightning.utils.json_values import to_json

NOT_ALL_VIEWS = Comparability((Criterion("all_views", False, statement("views", views=["PA"])),))
EVALUATIONS = ("plain_evaluation", "synthetic_evaluation", "undefined_evaluation", "hostile_evaluation")


@pytest.fixture(params=EVALUATIONS)
def evaluation(request: pytest.FixtureRequest) -> Evaluation:
    found: Evaluation = request.getfixturevalue(request.param)
    return found


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(metrics_schema())


def test_every_written_file_fulfils_the_schema(evaluation: Evaluation, tmp_path: Path) -> None:
    write_metrics_json(evaluation, tmp_path / "metrics.json")
    content = json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(metrics_schema()).validate(content)
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.json"]


@pytest.mark.parametrize("place", [(), ("macro",), ("labels", "Edema"), ("labels", "Edema", "auroc"), ("protocol",)])
def test_the_schema_refuses_unknown_and_missing_keys(plain_evaluation: Evaluation, place: tuple[str, ...]) -> None:
    validator = jsonschema.Draft202012Validator(metrics_schema())
    for change in ("add", "drop"):
        content: Any = metrics_json(plain_evaluation)
        inner = content
        for key in place:
            inner = inner[key]
        if change == "add":
            inner["unknown"] = 1
        else:
            inner.pop(next(iter(inner)))
        assert not validator.is_valid(content)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("format",), 2),
        (("images",), -1),
        (("images",), 2.5),
        (("synthetic",), "no"),
        (("synthetic",), True),  # beside published results
        (("labels",), {}),
        (("labels", "Edema", "auroc", "value"), 1.01),
        (("labels", "Edema", "auroc", "low"), "0.5"),
        (("labels", "Edema", "brier"), -0.01),
        (("labels", "Edema", "calibration", "method"), "isotonic"),
        (("labels", "Edema", "operating_points", "youden", "at_prevalence", 0, "alerts_per_1000"), 1001),
        (("subgroups", 0, "difference", "value"), -1.01),
        (("protocol", "criteria"), None),
        (("settings", "prevalences"), [1.0]),
        (("versions",), {"torch": 2}),
    ],
)
def test_the_schema_refuses_other_values(
    plain_evaluation: Evaluation, place: tuple[str | int, ...], value: object
) -> None:
    content: Any = metrics_json(plain_evaluation)
    validator = jsonschema.Draft202012Validator(metrics_schema())
    assert validator.is_valid(content)
    inner = content
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    assert not validator.is_valid(content)


def test_the_schema_says_what_every_key_means_and_requires_it() -> None:
    schema = metrics_schema()
    for name, item in {"": schema, **schema["$defs"]}.items():
        if properties := item.get("properties"):
            assert item["required"] == [key for key in properties if key != "metrics"], name  # of other packages
            assert item["additionalProperties"] is False, name
            assert [key for key, one in properties.items() if not one.get("description")] == [], name


def test_numbers_are_those_of_the_evaluation(plain_evaluation: Evaluation) -> None:
    content = metrics_json(plain_evaluation)
    edema = plain_evaluation.labels[0]
    found = content["labels"]["Edema"]
    assert found["auroc"] == {"value": edema.auroc.value, "low": edema.auroc.low, "high": edema.auroc.high}
    assert (found["n"], found["positives"], found["prevalence"]) == (edema.n, edema.positives, edema.prevalence)
    assert found["calibration"]["slope"] == 1.25
    point, youden = found["operating_points"]["youden"], (edema.operating_points or ())[0]
    assert point["true_positives"] == youden.counts.true_positives
    assert point["at_prevalence"][1] == {
        "prevalence": 0.1,
        "ppv": youden.at[1].ppv,
        "npv": youden.at[1].npv,
        "alerts_per_1000": youden.at[1].alerts_per_1000,
    }
    mean = plain_evaluation.auroc
    assert content["macro"]["auroc"]["value"] == mean.estimate.value
    assert content["macro"]["auroc"]["defined_labels"] == 2
    assert list(content["labels"]) == ["Edema", "Mass", "Hernia"]


def test_undefined_numbers_are_null(undefined_evaluation: Evaluation) -> None:
    content = metrics_json(undefined_evaluation)
    nothing = {"value": None, "low": None, "high": None}
    assert content["labels"]["Hernia"] == {
        "n": 0,
        "positives": 0,
        "prevalence": None,
        "auroc": nothing,
        "average_precision": nothing,
        "brier": None,
        "ece": None,
        "calibration": None,
        "operating_points": None,
    }
    assert content["macro"]["brier"] == {**nothing, "defined_labels": 0}
    assert content["protocol"]["comparable"] is None


@pytest.mark.parametrize("changes", [{"synthetic": True}, {"comparability": NOT_ALL_VIEWS}])
def test_published_figures_are_left_out_unless_comparable_and_real(
    make_plain: Callable[..., Evaluation], changes: dict[str, Any]
) -> None:
    assert metrics_json(make_plain())["published"]
    assert metrics_json(make_plain(**changes))["published"] == []


def test_a_failed_write_leaves_the_earlier_file(plain_evaluation: Evaluation, tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    write_metrics_json(plain_evaluation, path)
    before = path.read_bytes()
    first = plain_evaluation.labels[0]
    for wrong in (float("inf"), 1.01):
        label = replace(first, metrics={**first.metrics, "brier": Estimate(wrong)})
        evaluation = replace(plain_evaluation, labels=(label,))
        with pytest.raises(ValueError, match="less than or equal to 1"):
            write_metrics_json(evaluation, path)
    assert path.read_bytes() == before


def test_records_of_any_kind_become_plain_values() -> None:
    record = {1: np.float32(0.5), "a": np.array([[1, 2]]), "b": {"c": (float("nan"), np.bool_(True))}}
    assert to_json(record) == {"1": 0.5, "a": [[1, 2]], "b": {"c": [None, True]}}
