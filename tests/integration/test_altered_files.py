"""Any value of a file that is read back, replaced by another type or a huge one: it is used, or refused in one line."""

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from cxr_lightning.app.errors import USER_ERRORS, one_line
from cxr_lightning.app.sweep_jobs import read_leaderboard
from cxr_lightning.checkpoints.checkpoint_model import check_content
from cxr_lightning.checkpoints.initial_weights import read_initial_weights
from cxr_lightning.checkpoints.metadata import parse_description
from cxr_lightning.checkpoints.onnx_check import handle_onnx_check
from cxr_lightning.inference.onnx_backend import OnnxBackend
from cxr_lightning.inference.predictor import load_model
from cxr_lightning.inference.results import read_result
from cxr_lightning.inference.results_file import read_results
from cxr_lightning.training.run_settings import RunSettings, describe_differences, is_same_length, read_settings
from cxr_lightning.training.trained_run import TrainedRun
from cxr_lightning.utils.file_names import METADATA_KEY
from tests.altered_values import STRANGERS, TENSORS, altered, places, replaced
from tests.run_summaries import run_summary
from tests.slow_cases import one_in

FILES = Path(__file__).parents[1] / "data" / "version_0_1"
MAX_SECONDS = 20.0
"""A draw takes 5 s at most on a quiet machine; tests run beside others."""
FEW = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
MANY = settings(FEW, max_examples=120)  # benchmarks/altered_files.py tries thousands


@pytest.fixture(scope="module", autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("altered")


@contextmanager
def used_or_one_line() -> Iterator[None]:
    """What happens within the block succeeds, or is an error for users of one line, and takes little time."""
    started = time.monotonic()
    try:
        yield
    except USER_ERRORS as error:
        text = one_line(error)
        assert "\n" not in text
        assert len(text) < 1500
    assert time.monotonic() - started < MAX_SECONDS


def film(folder: Path) -> Path:
    path = folder / "film.png"
    if not path.exists():
        Image.fromarray(np.arange(64 * 64, dtype=np.uint8).reshape(64, 64)).save(path)
    return path


def use_model(path: Path, folder: Path) -> None:
    with used_or_one_line():
        model = load_model(path, device="cpu")
        (result,) = model.predict(film(folder))
        assert all(0 <= value <= 1 for value in result.probabilities.values())
    with used_or_one_line():
        read_initial_weights(str(path), "densenet_micro", ["Effusion", "Mass"])


CHECKPOINT = torch.load(FILES / "best.ckpt", weights_only=True)


def use_checkpoint(draw: st.DataObject, folder: Path) -> None:
    content, _ = draw.draw(altered(CHECKPOINT, (*STRANGERS, *TENSORS)))
    path = folder / "x.ckpt"
    torch.save(content, path)
    use_model(path, folder)


def use_settings_of_checkpoint(draw: st.DataObject, folder: Path) -> None:
    key = draw.draw(st.sampled_from(["hyper_parameters", METADATA_KEY, "cxr_lightning_reference"]))
    part, _ = draw.draw(altered(CHECKPOINT[key], (*STRANGERS, *TENSORS)))
    path = folder / "x.ckpt"
    torch.save({**CHECKPOINT, key: part}, path)
    use_model(path, folder)


TENSORS_OF_EXPORT = load_file(FILES / "model.safetensors")
with safe_open(FILES / "model.safetensors", framework="pt") as _file:
    HEADER = dict(_file.metadata())


def use_safetensors(draw: st.DataObject, folder: Path) -> None:
    description, _ = draw.draw(altered(json.loads(HEADER[METADATA_KEY])))
    path = folder / "x.safetensors"
    save_file(TENSORS_OF_EXPORT, path, metadata={**HEADER, METADATA_KEY: json.dumps(description)})
    use_model(path, folder)


def use_onnx(draw: st.DataObject, folder: Path) -> None:
    program = onnx.load(FILES / "model.onnx")
    (entry,) = [entry for entry in program.metadata_props if entry.key == METADATA_KEY]
    description, _ = draw.draw(altered(json.loads(entry.value)))
    entry.value = json.dumps(description)
    with used_or_one_line():
        answer = json.loads(handle_onnx_check(program.SerializeToString()))["refused"]
        assert "\n" not in answer


def use_summary(draw: st.DataObject, folder: Path) -> None:
    summary, _ = draw.draw(altered(run_summary()))
    job = folder / "0"
    (job / ".hydra").mkdir(parents=True, exist_ok=True)
    (job / ".hydra" / "overrides.yaml").write_text("- seed=1\n")
    (job / "summary.json").write_text(json.dumps(summary))
    with used_or_one_line():
        run = TrainedRun.read(job)
        assert "\n" not in repr(run)
        run._repr_html_()
        assert isinstance(run.test_auroc, dict)
    with used_or_one_line():
        read_leaderboard(folder)


SETTINGS = {
    "compared": {"seed": 1, "optimizer.lr": 0.1, "labels": ["Mass", "Edema"], "model._target_": "x.Model"},
    "length": {"trainer.max_epochs": 3, "trainer.max_time": "00:01:00:00", "callbacks.early_stopping.patience": 2},
}


def use_settings(draw: st.DataObject, folder: Path) -> None:
    content, _ = draw.draw(altered(SETTINGS))
    (folder / "settings.json").write_text(json.dumps(content))
    with used_or_one_line():
        if (found := read_settings(folder)) is not None:
            current = RunSettings(dict(SETTINGS["compared"]), dict(SETTINGS["length"]))
            describe_differences(found.compared, current)
            is_same_length(found.length, current.length)


RESULT = {
    "file": "films/a.png",
    "status": "warning",
    "reasons": [{"code": "color", "words": "it is in color"}],
    "findings": [
        {"label": "Mass", "probability": 0.5, "calibrated": None, "threshold": 0.4, "prevalence": 0.1, "above": True}
    ],
}


def use_results(draw: st.DataObject, folder: Path) -> None:
    result, _ = draw.draw(altered(RESULT))
    path = folder / "results.jsonl"
    path.write_text(json.dumps(RESULT) + "\n" + json.dumps(result) + "\n")
    with used_or_one_line():
        for found in read_results(path):
            found.to_json()


KINDS = [
    *(use_checkpoint, use_settings_of_checkpoint, use_safetensors, use_onnx),
    *(use_summary, use_settings, use_results),
]


@pytest.mark.parametrize("use", one_in(2, KINDS))
@FEW
@given(data=st.data())
def test_one_altered_value_is_used_or_refused_in_one_line(
    use: Callable[[st.DataObject, Path], None], data: st.DataObject, folder: Path
) -> None:
    use(data, folder)


@pytest.mark.slow
@pytest.mark.parametrize("use", KINDS)
@MANY
@given(data=st.data())
def test_hundreds_of_altered_values_are_used_or_refused_in_one_line(
    use: Callable[[st.DataObject, Path], None], data: st.DataObject, folder: Path
) -> None:
    use(data, folder)


@pytest.mark.parametrize("depth", [200, 100_000])
def test_deep_json_is_one_line_everywhere(depth: int, tmp_path: Path) -> None:
    text = "[" * depth + "]" * depth
    (tmp_path / ".hydra").mkdir()
    for name in ("summary.json", "settings.json", "results.jsonl"):
        (tmp_path / name).write_text(text + "\n")
    for use in (TrainedRun.read, read_settings, lambda folder: list(read_results(folder / "results.jsonl"))):
        with used_or_one_line():
            use(tmp_path)
    save_file(TENSORS_OF_EXPORT, tmp_path / "x.safetensors", metadata={**HEADER, METADATA_KEY: text})
    with pytest.raises(ValueError, match="nests lists and objects deeper than 100"):
        load_model(tmp_path / "x.safetensors")


def test_values_that_hold_each_other_many_times_are_refused_at_once(tmp_path: Path) -> None:
    value: Any = [0]
    for _ in range(50):
        value = [value, value]
    torch.save({**CHECKPOINT, "callbacks": {"x": value}}, tmp_path / "x.ckpt")
    started = time.monotonic()
    with pytest.raises(ValueError, match="more than 1,000,000 values"):
        load_model(tmp_path / "x.ckpt")
    assert time.monotonic() - started < MAX_SECONDS


def test_an_onnx_file_whose_description_was_altered_is_one_line(tmp_path: Path) -> None:
    program = onnx.load(FILES / "model.onnx")
    program.metadata_props[0].value = "[1]"
    onnx.save(program, tmp_path / "x.onnx")
    with pytest.raises(ValueError, match=r"^Expected a model that `cxr export` wrote in .* in its description"):
        OnnxBackend(tmp_path / "x.onnx")


def refused(read: Callable[[], object]) -> bool:
    try:
        read()
    except ValueError:
        return True
    return False


def not_refused(content: dict[str, Any], read: Callable[[Any], object]) -> set[str]:
    """The places of a content at which a mapping that belongs nowhere is taken; lists and mappings count once."""
    taken = set()
    for place in places(content):
        if not refused(lambda place=place: read(replaced(content, place, {"stranger": [{}]}))):  # type: ignore[misc]
            taken.add(".".join(str(key) for key in place if not isinstance(key, int)))
    return taken


def test_a_wrong_type_is_refused_wherever_a_type_is_known(tmp_path: Path) -> None:
    def write_summary(content: Any) -> object:
        (tmp_path / "summary.json").write_text(json.dumps(content))
        return TrainedRun.read(tmp_path)

    def write_result(content: Any) -> object:
        return read_result(json.dumps(content).encode())

    def describe(content: Any) -> object:
        return parse_description(json.dumps(content))

    def check_checkpoint(content: Any) -> None:
        check_content(content, "x.ckpt")

    assert not_refused(run_summary(), write_summary) == {"run_folder"}
    assert not_refused(RESULT, write_result) == set()
    description = json.loads(HEADER[METADATA_KEY])
    own = {key: description[key] for key in ("labels", "image_size", "interpolation", "hyper_parameters")}
    assert not_refused(own, lambda content: describe({**description, **content})) == set()
    part = {key: CHECKPOINT[key] for key in ("hyper_parameters", "cxr_lightning_reference", "epoch", "global_step")}
    assert not_refused(part, lambda content: check_checkpoint({**CHECKPOINT, **content})) == set()
    metadata = {METADATA_KEY: CHECKPOINT[METADATA_KEY]}
    open_keys = not_refused(metadata, lambda content: check_checkpoint({**CHECKPOINT, **content}))
    assert open_keys == {f"{METADATA_KEY}.data.settings.source.label_file"}  # the layout checks its own options
