"""Losses of AUROC by quantization: the numbers, what is refused, and the table."""

import math
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from cxr_lightning.checkpoints.quantization_model import QuantizedAuroc
from cxr_lightning.evaluation.quantization import (
    QuantizationCheck,
    auroc_loss,
    check_max_loss,
    check_quantization,
    refuse_few_labels,
)
from cxr_lightning.inference.predictions import Predictions
from cxr_lightning.labels import NIH_LABELS
from cxr_lightning.report.quantization import describe_excess_losses, quantization_losses, quantization_table

N = 40
NAN = math.nan


def predictions(columns: dict[str, list[float]]) -> Predictions:
    """Half of the images, those of even number, are positive for every finding."""
    names = np.array([f"{number}.png" for number in range(N)], dtype=object)
    targets = np.tile((np.arange(N) % 2 == 0).astype(float)[:, None], (1, len(columns)))
    return Predictions(tuple(columns), names, names, np.array([*columns.values()]).T, targets)


def perfect() -> list[float]:
    return [0.9 - 0.001 * number if number % 2 == 0 else 0.1 for number in range(N)]


def one_positive_below(negatives: int) -> list[float]:
    """Scores that rank one positive below some of the negatives: a loss of negatives / 400."""
    scores = perfect()
    scores[0] = 0.05
    return [score if number % 2 == 0 or number // 2 < negatives else 0.01 for number, score in enumerate(scores)]


def check(int8: dict[str, list[float]], max_loss: float = 0.002) -> QuantizationCheck:
    return check_quantization(
        predictions(dict.fromkeys(int8, perfect())), predictions(int8), max_loss=max_loss, replicates=50
    )


def test_the_loss_is_the_fraction_of_pairs_that_change_order() -> None:
    result = check({"Mass": one_positive_below(3), "Edema": perfect()})
    loss = auroc_loss(result.comparison.by_label["Mass"])
    assert loss.value == pytest.approx(3 / 400)  # 3 of 20 * 20 pairs
    assert 0 <= loss.low <= loss.value <= loss.high
    assert auroc_loss(result.comparison.mean).value == pytest.approx(3 / 800)
    assert auroc_loss(result.comparison.by_label["Edema"]).value == 0


@pytest.mark.parametrize(
    ("pairs", "max_loss", "refused", "mean_refused"),
    [
        ((1, 0, 0), 0.002, ("a",), False),  # .0025; mean .00083
        ((1, 0, 0), 0.0025, (), False),  # a loss of exactly the accepted one
        ((1, 1, 0), 0.0025, (), True),  # mean .00167
        ((0, 0, 0), 0.0, (), False),
        ((1, 1, 1), 0.0, ("a", "b", "c"), True),
    ],
)
def test_a_finding_or_the_mean_is_refused(
    pairs: tuple[int, ...], max_loss: float, refused: tuple[str, ...], mean_refused: bool
) -> None:
    result = check({name: one_positive_below(count) for name, count in zip("abc", pairs, strict=True)}, max_loss)
    assert result.refused_labels == refused
    assert result.mean_refused is mean_refused
    assert bool(describe_excess_losses(result)) is bool(refused or mean_refused)


def test_a_gain_of_one_finding_does_not_hide_the_loss_of_another() -> None:
    worse = one_positive_below(4)
    result = check_quantization(
        predictions({"a": perfect(), "b": worse}), predictions({"a": worse, "b": perfect()}), max_loss=0.002
    )
    assert auroc_loss(result.comparison.mean).value == pytest.approx(0, abs=1e-12)
    assert describe_excess_losses(result) == "a loses 0.0100"


def test_findings_without_probabilities_are_not_counted() -> None:
    result = check_quantization(
        predictions({"a": perfect(), "b": [NAN] * N}), predictions({"a": perfect(), "b": [NAN] * N}), max_loss=0.002
    )
    assert result.comparison.labels == 1
    assert result.refused_labels == ()
    assert quantization_losses(result)["auroc"]["b"] == dict.fromkeys(("float32", "int8", "loss", "low", "high"))
    QuantizedAuroc.model_validate(quantization_losses(result)["auroc"]["a"])


def test_the_change_of_probabilities_is_told_where_auroc_stays() -> None:
    result = check({"a": [score - 0.005 for score in perfect()]})
    assert result.refused_labels == ()
    assert result.mean_probability_difference == pytest.approx(0.005)
    assert result.max_probability_difference == pytest.approx(0.005)


def test_sets_with_few_positives_are_refused_and_a_finding_with_few_is_named() -> None:
    targets = np.zeros((100, 2))
    targets[:9] = 1
    with pytest.raises(ValueError, match=r"10 positives and 10 negatives among the 100 checked images of 'x\.csv'"):
        refuse_few_labels(targets, ["a", "b"], "x.csv")
    targets[:10, 0] = 1
    refuse_few_labels(targets, ["a", "b"], "x.csv")
    with pytest.raises(ValueError, match="none has as many"):
        refuse_few_labels(targets[:, :0], [], "x.csv")


@pytest.mark.parametrize("value", [-0.001, 0.11, NAN])
def test_a_loss_that_nobody_accepts_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match=r"--max-loss in \[0, 0\.1\]"):
        check_max_loss(value)


def test_the_table_fits_80_columns_and_has_every_number() -> None:
    result = check({label: one_positive_below(3) for label in NIH_LABELS})
    stream = StringIO()
    Console(file=stream, width=80).print(quantization_table(result, "the test images"))
    lines = stream.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    (row,) = [line.split() for line in lines if "Pleural_Thickening" in line]
    assert row[:4] == ["Pleural_Thickening", "1.0000", "0.9925", "+0.0075"]
    assert any(line.split()[:3] == ["mean", "of", "14"] for line in lines)
