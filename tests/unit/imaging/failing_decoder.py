"""A decoder that fails in every way, for the process that test_hostile_files.py starts."""

import os
import signal

QUOTED = "DOE^JANE"
"""What a library may quote of a file."""


def answer_badly(task: bytes) -> bytes:
    """Fail as the task says."""
    print(QUOTED, flush=True)
    if task.startswith(b"crash"):
        os.kill(os.getpid(), signal.SIGSEGV)
    if task.startswith(b"exit"):
        os._exit(3)
    if task.startswith(b"print"):
        print("x" * (1 << 22), flush=True)
    raise MemoryError
