"""The pipeline: order, full batches, what is in memory, threads, and how it ends."""

import threading
import time
from collections.abc import Iterator, Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cxr_lightning.inference.backend import Computation
from cxr_lightning.inference.pipeline import Pipeline
from cxr_lightning.inference.torch_backend import TorchBackend
from cxr_lightning.models.classifier import ChestXRayClassifier


def pipeline(batches: list[int], *, batch_size: int, threads: int = 2, concurrency: int = 2) -> Pipeline[int, int, int]:
    """Doubles odd numbers; even ones are not usable."""

    def compute(inputs: Sequence[int]) -> list[int]:
        batches.append(len(inputs))
        return [2 * one for one in inputs]

    return Pipeline(
        lambda one: one,
        lambda one: one % 2 == 1,
        compute,
        batch_size=batch_size,
        threads=threads,
        concurrency=concurrency,
    )


@given(
    numbers=st.lists(st.integers(0, 9), max_size=40),
    batch_size=st.integers(1, 9),
    threads=st.integers(1, 4),
    concurrency=st.integers(1, 4),
)
def test_results_are_in_order_and_batches_full_whatever_is_not_usable(
    numbers: list[int], batch_size: int, threads: int, concurrency: int
) -> None:
    batches: list[int] = []
    made = pipeline(batches, batch_size=batch_size, threads=threads, concurrency=concurrency)
    assert list(made.run(numbers)) == [(one, 2 * one if one % 2 else None) for one in numbers]
    usable = sum(one % 2 for one in numbers)
    assert sorted(batches, reverse=True) == [batch_size] * (usable // batch_size) + [usable % batch_size] * bool(
        usable % batch_size
    )


def test_no_more_sources_are_asked_for_than_are_decoded_ahead() -> None:
    asked = 0

    def sources() -> Iterator[int]:
        nonlocal asked
        for one in range(1, 2001, 2):
            asked += 1
            yield one

    most = 0
    for given_results, _ in enumerate(pipeline([], batch_size=4).run(sources()), start=1):
        most = max(most, asked - given_results)
    assert asked == 1000
    assert most <= 2 + 2 * 4 + 4 * (2 + 2)  # decoded ahead, and in batches that are computed or filled


def test_inputs_that_are_not_usable_do_not_pile_up_behind_a_batch_that_waits_for_more() -> None:
    asked = 0

    def sources() -> Iterator[int]:
        nonlocal asked
        for one in [1, *[2] * 5000]:
            asked += 1
            yield one

    results = pipeline([], batch_size=16).run(sources())
    assert next(results) == (1, 2)
    assert asked < 400
    assert len(list(results)) == 5000


def test_what_was_read_before_an_error_of_the_sources_is_computed() -> None:
    def sources() -> Iterator[int]:
        yield from [1, 2, 3]
        raise KeyError("sources")

    results = pipeline([], batch_size=16).run(sources())
    assert [next(results) for _ in range(3)] == [(1, 2), (2, None), (3, 6)]
    with pytest.raises(KeyError, match="sources"):
        next(results)


@pytest.mark.parametrize("place", ["decode", "compute", "sources", "reader"])
def test_an_error_anywhere_ends_it_and_its_threads(place: str) -> None:
    def fail_at(name: str, one: int) -> int:
        if name == place and one == 51:
            raise KeyError(place)
        return one

    before = threading.active_count()
    made = Pipeline[int, int, int](
        lambda one: fail_at("decode", one),
        lambda one: True,
        lambda inputs: [fail_at("compute", one) for one in inputs],
        batch_size=3,
        threads=2,
        concurrency=2,
    )

    def read() -> None:
        for one, _ in made.run(fail_at("sources", number) for number in range(200)):
            fail_at("reader", one)

    with pytest.raises(KeyError, match=place):
        read()
    deadline = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before


def test_torchs_threads_are_divided_within_and_restored_after() -> None:
    before = torch.get_num_threads()
    model = ChestXRayClassifier(["Mass"], backbone="densenet_micro", image_size=32)
    backend = TorchBackend(model, Computation(threads=6))
    assert backend.concurrency == 6
    found: list[int] = []
    with backend.divided_cores() as start_thread:
        made = Pipeline[int, int, int](
            lambda one: one,
            lambda one: True,
            lambda inputs: [found.append(torch.get_num_threads()) or 0 for _ in inputs],  # type: ignore[func-returns-value]
            batch_size=1,
            threads=1,
            concurrency=2,
            start_thread=start_thread,
        )
        assert len(list(made.run(range(8)))) == 8
    assert found == [1] * 8
    with backend.divided_cores() as first, backend.divided_cores():  # two predictions at once
        thread = threading.Thread(target=first)
        thread.start()
        thread.join()
    assert torch.get_num_threads() == before
