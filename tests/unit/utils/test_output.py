"""Output that nobody reads any more ends alone."""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import TextIO

import pytest
from rich.console import Console

from cxr_lightning.utils.output import output_may_end


@pytest.fixture
def unread() -> Iterator[TextIO]:
    """A pipe whose reader has ended."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        yield stream


def test_a_reader_that_has_ended_ends_the_output_alone(unread: TextIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", unread)
    with output_may_end("stdout"):
        for _ in range(2):
            print("x" * 100_000, flush=True)
            Console().print("[bold]table")
        print("and what is not yet flushed")
    assert sys.stdout is unread
    unread.flush()  # nothing is left that the interpreter would fail to write


def test_other_output_stays_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    with output_may_end("stdout", "stderr"):
        print("out")
        print("error", file=sys.stderr)
    assert capsys.readouterr() == ("out\n", "error\n")


@pytest.mark.parametrize("redirected", [">&-", "> /dev/full", "| true", ">&- 2>&-"])
def test_a_program_ends_as_it_should_without_output(redirected: str) -> None:
    code = (
        "from cxr_lightning.utils.output import output_may_end\n"
        "with output_may_end('stdout', 'stderr'):\n"
        "    for _ in range(5): print('x' * 100_000)\n"
        "raise SystemExit(7)"
    )
    command = f'set -o pipefail; "{sys.executable}" -c "$CODE" {redirected}'
    done = subprocess.run(["bash", "-c", command], env={**os.environ, "CODE": code}, capture_output=True, check=False)
    assert done.returncode == 7
    assert b"Traceback" not in done.stderr
