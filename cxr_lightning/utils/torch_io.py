"""Load PyTorch files without running code from them."""

import json
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cxr_lightning.utils.limited_process import LimitedCallError, LimitedFunction, Limits
from cxr_lightning.utils.regular_files import open_regular

_handle_pickle_task = LimitedFunction(
    "cxr_lightning.utils.pickle_check", "handle_pickle_task", Limits(memory=1 << 30, seconds=10)
)
_MAX_VALUES = 1_000_000
"""Maximum number of values in a file, lists and tensors among them; the state of a long training has thousands."""
_MAX_DEPTH = 60
_MAX_NUMBER = 2**63
"""Whole numbers beyond 64 bits fit into nothing that a file describes."""


def load_safely(path: str) -> Any:  # noqa: ANN401  # whatever plain values the file holds
    """Load a PyTorch file's content without running code from it.

    Raises:
        OSError: If there is no such file, it is no regular one, or it may not be read.
        ValueError: If it is damaged, is no PyTorch file, holds more than tensors and plain values, or more of them than
            any model.
    """
    open_regular(path).close()  # what is not there, or no file, is told as that
    try:
        _refuse_unsafe_file(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a file that is refused is one line
            content = torch.load(path, map_location="cpu", weights_only=True)
        _check_values(content)
    except OSError:
        raise
    except Exception as error:  # a damaged file raises almost anything: IndexError, AssertionError, struct.error, ...
        reason = first_line(error).partition(". ")[0]  # torch goes on to advise loading it unsafely
        raise ValueError(
            f"Expected tensors in '{path}' but it cannot be loaded safely: {reason}. "
            "Give a checkpoint, or a state_dict that torch.save wrote."
        ) from error
    return content


def _refuse_unsafe_file(path: str) -> None:
    """Refuse what would take much memory or time once torch reads it."""
    try:
        refusal = json.loads(_handle_pickle_task(json.dumps({"file": str(Path(path).absolute())}).encode()))["refused"]
    except LimitedCallError as error:
        refusal = str(error)
    if refusal:
        raise ValueError(refusal)


def _check_values(content: object) -> None:
    """Refuse what a few bytes can claim: values that hold each other many times, and huge numbers."""
    for number, (value, depth) in enumerate(_values(content)):
        if number >= _MAX_VALUES or depth > _MAX_DEPTH:
            raise ValueError(f"it holds more than {_MAX_VALUES:,} values, or nests them deeper than {_MAX_DEPTH}")
        if isinstance(value, int) and not -_MAX_NUMBER <= value < _MAX_NUMBER:
            raise ValueError("it holds a number of more than 64 bits")


def _values(content: object) -> Iterator[tuple[object, int]]:
    """Every value within a content, with its depth; one that is there many times is yielded as often."""
    waiting = [iter([(content, 0)])]
    while waiting:
        found = next(waiting[-1], None)
        if found is None:
            waiting.pop()
            continue
        yield found
        value, depth = found
        if isinstance(value, Mapping):
            waiting.append(iter([(inner, depth + 1) for pair in value.items() for inner in pair]))
        elif isinstance(value, list | tuple | set | frozenset) and not isinstance(value, torch.Size):
            waiting.append(iter([(inner, depth + 1) for inner in value]))


def values_within(content: object) -> Iterator[object]:
    """A value, and those within its lists and dictionaries.

    Args:
        content: What :func:`load_safely` returned, or a part of it.
    """
    return (value for value, _ in _values(content))


def tensors_within(content: object) -> Iterator[Tensor]:
    """The tensors among :func:`values_within`."""
    return (value for value in values_within(content) if isinstance(value, Tensor))


def is_plain_tensor(tensor: Tensor) -> bool:
    """Whether a tensor is dense, neither quantized nor without data, and not larger than its data."""
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta:
        return False
    return tensor.numel() * tensor.element_size() <= tensor.untyped_storage().nbytes()


def first_line(error: Exception) -> str:
    """First line of an exception's message; the name of its class if that is empty."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
