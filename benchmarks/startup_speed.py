"""Measure the seconds that a command takes, medians of five: uv run -m benchmarks.startup_speed."""

import os
import statistics
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.paired_timing import describe_machine, time_in_turns

REPOSITORY = Path(__file__).parent.parent
COMMANDS = {
    "train.py --help": ["train.py", "--help"],
    "evaluate.py --help": ["evaluate.py", "--help"],
    "cxr --help": ["-c", "from cxr_lightning.cli import main; main(['--help'])"],
    "train.py debug=fast (one batch)": ["train.py", "debug=fast", "callbacks.progress_bar=null"],
    "import pytorch_lightning": ["-c", "import pytorch_lightning"],
}


def main() -> None:
    print(describe_machine())
    with TemporaryDirectory() as folder:
        places = {"CXR_LOG_DIR": f"{folder}/logs", "CXR_CACHE_DIR": os.environ.get("CXR_CACHE_DIR", f"{folder}/cache")}

        def run(arguments: list[str]) -> None:
            command = [sys.executable, *arguments]
            subprocess.run(command, cwd=REPOSITORY, env={**os.environ, **places}, check=True, capture_output=True)

        cases = {name: lambda arguments=arguments: run(arguments) for name, arguments in COMMANDS.items()}
        for name, seconds in time_in_turns(cases).items():
            print(f"{name:<36} {statistics.median(seconds):6.2f} s   ({min(seconds):.2f} to {max(seconds):.2f})")


if __name__ == "__main__":
    main()
