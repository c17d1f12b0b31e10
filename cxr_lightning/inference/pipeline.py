"""Decode images beside the network, in threads: both let others run while they compute."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

Source = TypeVar("Source")
Input = TypeVar("Input")
Output = TypeVar("Output")
_MAX_WAITING = 256
"""Number of inputs behind the first one of a batch from which on the batch is not filled any more."""


@dataclass
class _Waiting(Generic[Input, Output]):
    """A decoded input, and the batch that it is in, with its place there; None for one that is in no batch."""

    decoded: Input
    batch: "Future[Sequence[Output]] | None" = None
    place: int = 0


class Pipeline(Generic[Source, Input, Output]):
    """Decodes sources and computes outputs in batches, both in threads, in order.

    A batch is filled with inputs that are usable, however many are not; what is in memory does not depend on the number
    of sources. Sources are asked for ahead: as many as threads and batches that are computed at the same time hold.

    Args:
        decode: Function that decodes one source; it is called in several threads.
        is_usable: Whether a decoded input goes into a batch.
        compute: Function that computes the outputs of a batch, one per input.
        batch_size: Number of inputs in a batch.
        threads: Number of threads that decode.
        concurrency: Number of threads that compute.
        start_thread: Function that each of these calls first.
    """

    def __init__(
        self,
        decode: Callable[[Source], Input],
        is_usable: Callable[[Input], bool],
        compute: Callable[[Sequence[Input]], Sequence[Output]],
        *,
        batch_size: int,
        threads: int,
        concurrency: int,
        start_thread: Callable[[], None] = lambda: None,
    ) -> None:
        self.decode, self.is_usable, self.compute = decode, is_usable, compute
        self.batch_size, self.threads, self.concurrency = batch_size, threads, concurrency
        self.start_thread = start_thread

    def run(self, sources: Iterable[Source]) -> Generator[tuple[Input, Output | None]]:
        """Decoded inputs in the order of their sources, with their outputs; None for one that is not usable."""
        with (
            ThreadPoolExecutor(self.threads) as decoders,
            ThreadPoolExecutor(self.concurrency, initializer=self.start_thread) as computers,
        ):
            try:
                yield from self._run(iter(sources), decoders, computers)
            finally:  # what nobody waits for any more
                for pool in (decoders, computers):
                    pool.shutdown(wait=True, cancel_futures=True)

    def _run(
        self, sources: Iterator[Source], decoders: ThreadPoolExecutor, computers: ThreadPoolExecutor
    ) -> Iterator[tuple[Input, Output | None]]:
        failures: list[Exception] = []
        read = _until_failure(sources, failures)
        decoding = deque(decoders.submit(self.decode, source) for source in islice(read, self._ahead))
        waiting: deque[_Waiting[Input, Output]] = deque()
        batch: list[_Waiting[Input, Output]] = []
        while decoding:
            one: _Waiting[Input, Output] = _Waiting(decoding.popleft().result())
            decoding.extend(decoders.submit(self.decode, source) for source in islice(read, 1))
            waiting.append(one)
            if self.is_usable(one.decoded):
                batch.append(one)
            if len(batch) == self.batch_size or not decoding or len(waiting) > _MAX_WAITING + self._ahead:
                self._submit(batch, computers)
                batch = []
            while waiting and self._is_due(waiting, batch):
                yield self._finished(waiting.popleft())
        while waiting:
            yield self._finished(waiting.popleft())
        if failures:
            raise failures[0]

    @property
    def _ahead(self) -> int:
        """Number of sources that are decoded ahead."""
        return self.threads + self.batch_size * self.concurrency

    def _submit(self, batch: Sequence[_Waiting[Input, Output]], computers: ThreadPoolExecutor) -> None:
        if not batch:
            return
        future = computers.submit(self.compute, [one.decoded for one in batch])
        for place, one in enumerate(batch):
            one.batch, one.place = future, place

    def _is_due(self, waiting: Sequence[_Waiting[Input, Output]], batch: Sequence[_Waiting[Input, Output]]) -> bool:
        """Whether the first one is finished, or as many batches as may be are computed or wait for it."""
        first = waiting[0]
        if first.batch is None:
            return not (batch and batch[0] is first)
        return first.batch.done() or len(waiting) - len(batch) > self.batch_size * (self.concurrency + 1)

    def _finished(self, one: _Waiting[Input, Output]) -> tuple[Input, Output | None]:
        return one.decoded, None if one.batch is None else one.batch.result()[one.place]


def _until_failure(sources: Iterator[Source], failures: list[Exception]) -> Iterator[Source]:
    """Sources up to an error, which is added to ``failures``: what was read before it is still computed."""
    try:
        yield from sources
    except Exception as error:
        failures.append(error)
