"""Errors in one line."""

import pytest
import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException

from cxr_lightning.app.errors import USER_ERRORS, explain_error, one_line

GLOO = (
    "[/__w/pytorch/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:561] Connection closed by peer "
    "[127.0.0.1]:23444. This is typically caused by a remote worker crashing."
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GLOO, r"another one has ended or cannot be reached \(Connection closed by peer \[127\.0\.0\.1\]:23444\)"),
        ("NCCL communicator was aborted on rank 1.", "another one has ended .* resume=auto"),
        (
            "DataLoader worker (pid 3) is killed by signal: Killed. ",
            r"one died \(DataLoader worker \(pid 3\) is killed",
        ),
    ],
)
def test_the_end_of_another_process_is_a_fault_of_the_run_with_a_remedy(text: str, words: str) -> None:
    fault = explain_error(RuntimeError(text))
    assert isinstance(fault, USER_ERRORS)
    with pytest.raises(type(fault), match=words):
        raise fault
    assert "\n" not in one_line(fault)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MisconfigurationException("no\nlogger"), r"settings that Lightning accepts but it refuses them \(no logger\)"),
        (RuntimeError("Early stopping conditioned on metric `x` which is not available."), "Lightning .* metric `x`"),
        (
            torch.OutOfMemoryError("CUDA out of memory."),
            r"more memory .*\(CUDA out of memory\.\)\. Lower the batch size",
        ),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried"), "more memory"),
        (MemoryError(), "more memory"),
    ],
    ids=repr,
)
def test_what_libraries_refuse_is_a_mistake_of_the_user(error: Exception, words: str) -> None:
    explained = explain_error(error)
    assert isinstance(explained, USER_ERRORS)
    with pytest.raises(type(explained), match=words):
        raise explained
    assert "\n" not in one_line(explained)


def test_other_errors_stay_as_they_are() -> None:
    for error in (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), ValueError("gloo/"), KeyError("NCCL")):
        assert explain_error(error) is error
