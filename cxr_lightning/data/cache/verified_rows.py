"""Which rows of a file of pixels a run has compared with their checksums, known to all of its loader processes."""

import os
from ctypes import Array, c_ubyte
from multiprocessing.context import get_spawning_popen
from multiprocessing.sharedctypes import RawArray
from typing import Any

import numpy as np
from numpy.typing import NDArray


class VerifiedRows:
    """A byte per row, in memory that is shared with processes that are forked or started with it.

    A copy that reaches another process in another way, or is made where no memory can be shared, is that process's own:
    its rows are then compared once in each process.

    Args:
        num_rows: Number of rows.

    Attributes:
        mask: ``(num_rows,)`` bool, true where a row was compared; it never becomes false again.
    """

    def __init__(self, num_rows: int) -> None:
        self._attach(_shared_memory(num_rows), num_rows)

    def _attach(self, shared: "Array[c_ubyte] | None", num_rows: int) -> None:
        self._shared = shared
        own = np.zeros(num_rows, dtype=np.bool_)
        self.mask: NDArray[np.bool_] = own if shared is None else np.frombuffer(memoryview(shared), dtype=np.bool_)

    def __getstate__(self) -> dict[str, Any]:
        """Pass on the shared memory to a process that is being started; a plain copy starts from nothing."""
        shared = None if get_spawning_popen() is None else self._shared
        return {"shared": shared, "num_rows": len(self.mask)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Attach to the shared memory."""
        self._attach(state["shared"], state["num_rows"])


def _shared_memory(num_bytes: int) -> "Array[c_ubyte] | None":
    """Memory of zeros; None if there is none, as where temporary files cannot be written."""
    try:
        return RawArray(c_ubyte, num_bytes) if num_bytes and hasattr(os, "fork") else None
    except OSError:
        return None
