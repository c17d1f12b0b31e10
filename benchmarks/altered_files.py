"""Files in which one value was replaced, by the hundred: each is used, or refused in one line; time and memory of each.

    uv run --extra onnx benchmarks/altered_files.py

The draws are those of tests/integration/test_altered_files.py, 500 of each kind of file; any other outcome ends this.
"""

import logging
import resource
import tempfile
import time
from pathlib import Path

from hypothesis import given, seed
from hypothesis import strategies as st

from tests.integration.test_altered_files import KINDS, MANY


def main() -> None:
    """Run all draws, and print a table."""
    logging.disable(logging.WARNING)
    print("| file | draws | seconds, mean and most | peak of the process so far, MB |\n| --- | --- | --- | --- |")
    for use in KINDS:
        seconds: list[float] = []
        with tempfile.TemporaryDirectory() as folder:

            @seed(0)
            @MANY
            @given(data=st.data())
            def draw(data: st.DataObject) -> None:
                started = time.perf_counter()
                use(data, Path(folder))  # noqa: B023  # called within this turn
                seconds.append(time.perf_counter() - started)  # noqa: B023

            draw()
        name = use.__name__.removeprefix("use_").replace("_", " ")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        mean = sum(seconds) / len(seconds)
        print(f"| {name} | {len(seconds)} | {mean:.3f}, {max(seconds):.2f} | {peak:.0f} |", flush=True)


if __name__ == "__main__":
    main()
