"""Settings of a whole process that several threads change at the same time."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Generic, TypeVar

Setting = TypeVar("Setting")


class GlobalSetting(Generic[Setting]):
    """A setting of a library that is changed within blocks: the first one saves it, and the last one restores it.

    Args:
        read: Function that returns the setting.
        write: Function that changes it.
    """

    def __init__(self, read: Callable[[], Setting], write: Callable[[Setting], object]) -> None:
        self._read, self._write = read, write
        self._lock = Lock()
        self._blocks: int = 0
        self._saved: list[Setting] = []

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Within the block, of which several may be open in several threads, the setting may be changed."""
        with self._lock:
            if self._blocks == 0:
                self._saved = [self._read()]
            self._blocks += 1
        try:
            yield
        finally:
            with self._lock:
                self._blocks -= 1
                if self._blocks == 0:
                    self._write(self._saved.pop())
