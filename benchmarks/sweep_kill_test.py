"""Stop sweeps at random moments, resume them, and compare the leaderboards with that of a sweep left alone.

    uv run -m benchmarks.sweep_kill_test [--kills 10] [--seed 0]

Every round starts a sweep of six jobs, sends it SIGKILL, SIGINT or SIGTERM at a random moment, and resumes it with
resume=auto in the same folder. The leaderboard must equal, byte for byte, that of a sweep that was left alone, and a
job that had finished must not be trained again.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.generated_nih import generate_nih_set
from benchmarks.kill_test import ROOT, SETTINGS

SIGNALS = (signal.SIGKILL, signal.SIGINT, signal.SIGTERM)
SWEEP = ("-m", "seed=1,2,3", "optimizer.lr=0.01,0.001", "resume=auto")


def main() -> int:
    """Run all rounds; return 0 if every leaderboard is equal."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--kills", type=int, default=10)
    arguments.add_argument("--seed", type=int, default=0, help="seed of the moments")
    parsed = arguments.parse_args()
    moments = random.Random(parsed.seed)
    equal = 0
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        root = generate_nih_set(folder / "set", (240, 40))
        settings = [*SWEEP, *SETTINGS, f"data.root={root}", f"paths.cache_dir={folder}", "data.num_workers=0"]
        run(settings, folder / "first")  # prepares the images
        seconds, _ = run(settings, folder / "whole")
        expected = (folder / "whole/leaderboard.csv").read_bytes()
        print(f"a sweep of six jobs, left alone, takes {seconds:.1f} s", flush=True)
        for number in range(1, parsed.kills + 1):
            sweep, signum = folder / f"stopped_{number}", SIGNALS[number % len(SIGNALS)]
            moment = moments.uniform(0, seconds)
            _, status = run(settings, sweep, signum, moment)
            before = {path: path.read_bytes() for path in sweep.glob("*/summary.json")}
            run(settings, sweep)
            kept = all(path.read_bytes() == content for path, content in before.items())
            same = kept and (sweep / "leaderboard.csv").read_bytes() == expected
            equal += same
            print(
                f"{number:3d}: {signum.name} after {moment:4.1f} s, status {status}, {len(before)} jobs had finished: "
                f"{'equal' if same else 'DIFFERENT'}",
                flush=True,
            )
    print(f"{equal} of {parsed.kills} sweeps ended with the leaderboard of the one left alone")
    return 0 if equal == parsed.kills else 1


def run(
    settings: Sequence[str], folder: Path, signum: signal.Signals | None = None, after: float = 0
) -> tuple[float, int]:
    """Run the sweep in a new process, which is sent a signal; return its seconds and exit status."""
    command = [sys.executable, str(ROOT / "train.py"), *settings, f"hydra.sweep.dir={folder}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    started = time.monotonic()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, start_new_session=True
    )
    try:
        output, _ = process.communicate(timeout=after if signum else None)
    except subprocess.TimeoutExpired:
        assert signum is not None
        os.killpg(process.pid, signum) if signum == signal.SIGKILL else process.send_signal(signum)
        output, _ = process.communicate()
    allowed = {0} if signum is None else {0, -signum, 128 + signum}
    if process.returncode not in allowed:
        raise SystemExit(f"status {process.returncode}, expected one of {sorted(allowed)}:\n{output}")
    return time.monotonic() - started, process.returncode


if __name__ == "__main__":
    sys.exit(main())
