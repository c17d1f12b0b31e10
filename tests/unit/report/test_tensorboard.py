from dataclasses import replace
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]

from cxr_lightning.evaluation.results import Evaluation
from cxr_lightning.report.tensorboard import write_scalars


def scalars(folder: Path) -> dict[str, float]:
    events = EventAccumulator(str(folder))
    events.Reload()
    return {tag: events.Scalars(tag)[0].value for tag in events.Tags()["scalars"]}


def test_scalars_are_read_back_and_undefined_ones_are_left_out(plain_evaluation: Evaluation, tmp_path: Path) -> None:
    write_scalars(plain_evaluation, tmp_path)
    found = scalars(tmp_path)
    names = ("auroc", "average_precision", "brier", "ece")
    expected = {f"test/{name}{label}" for name in names for label in ("", "/Edema", "/Mass")}
    assert set(found) == expected
    # TensorBoard holds float32
    assert found["test/auroc/Edema"] == pytest.approx(plain_evaluation.labels[0].auroc.value, rel=1e-6)
    assert found["test/auroc"] == pytest.approx(plain_evaluation.auroc.estimate.value, rel=1e-6)


def test_names_that_differ_in_odd_characters_alone_have_scalars_of_their_own(
    plain_evaluation: Evaluation, tmp_path: Path
) -> None:
    names = ("[red]x[/nope]", "(red)x(/nope)", "../x")
    results = [replace(plain_evaluation.labels[0], label=name) for name in names]
    write_scalars(replace(plain_evaluation, labels=tuple(results)), tmp_path)
    assert len([tag for tag in scalars(tmp_path) if tag.startswith("test/auroc/")]) == 3


def test_nothing_defined_writes_no_scalar(undefined_evaluation: Evaluation, tmp_path: Path) -> None:
    write_scalars(undefined_evaluation, tmp_path)
    assert scalars(tmp_path) == {}
