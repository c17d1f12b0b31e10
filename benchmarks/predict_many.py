"""Run cxr predict on many files, some of them bad: results, reasons, memory; then interrupted and resumed.

uv run -m benchmarks.predict_many [--files 1000] [--bad 20] [--rounds 3]
"""

import argparse
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image

from cxr_lightning.checkpoints.save import save_classifier
from cxr_lightning.labels import NIH_LABELS
from cxr_lightning.models.classifier import ChestXRayClassifier
from cxr_lightning.phantom.reference_image import reference_image

BAD_CONTENTS = (b"", b"<html>", b"version https://git-lfs", b"\x89PNG\r\n\x1a\n cut off", b"no image at all")
PROGRAM = """
import resource, sys
from cxr_lightning.cli.main import main
code = main(sys.argv[1:])
print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
sys.exit(code)
"""
"""Program that runs `cxr` and prints the peak memory of its process in MiB."""


def write_files(folder: Path, files: int, bad: int) -> None:
    """Write synthetic films of 1024 pixels, each with different noise, with bad files among them."""
    folder.mkdir()
    film = np.asarray(Image.fromarray(reference_image(256, "bilinear")).resize((1024, 1024)))
    bad_numbers = set(np.linspace(0, files - 1, bad).round().astype(int).tolist())
    for number in range(files):
        path = folder / f"{number:05}.png"
        if number in bad_numbers:
            path.write_bytes(BAD_CONTENTS[number % len(BAD_CONTENTS)])
            continue
        noise = np.random.default_rng(number).integers(0, 8, film.shape, dtype=np.uint8)
        Image.fromarray(np.minimum(film, 247) + noise).save(path, compress_level=1)


def run(arguments: list[str], stop_after: tuple[Path, int] | None = None) -> tuple[int, float, int]:
    """Run once and return exit code, seconds and MiB; a Ctrl-C may end it once a folder holds a number of results."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    if stop_after is not None:
        out, results = stop_after
        while not (out / "results.jsonl").is_file() or len(read_lines(out)) < results:
            time.sleep(0.2)
        process.send_signal(signal.SIGINT)
    output = process.communicate()[0].decode()
    memory = [int(line.split()[1]) for line in output.splitlines() if line.startswith("peak ")]
    return process.returncode, time.perf_counter() - started, memory[0]


def read_lines(out: Path) -> list[dict[str, Any]]:
    """Results in results.jsonl, without an incomplete last line."""
    text = (out / "results.jsonl").read_text()
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--bad", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--backbone", default="densenet121")
    parsed = parser.parse_args()
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_files(folder / "few", parsed.files // 5, parsed.bad // 5)
        write_files(folder / "many", parsed.files, parsed.bad)
        model = folder / "model.ckpt"
        save_classifier(ChestXRayClassifier(NIH_LABELS, backbone=parsed.backbone).eval(), model)
        for number in range(parsed.rounds):  # the peak varies from run to run with the timing of two threads
            for which in ("few", "many"):
                out = folder / f"out-{which}-{number}"
                code, seconds, memory = run(["predict", str(folder / which), "--model", str(model), "--out", str(out)])
                counts = Counter(str(line["status"]) for line in read_lines(out))
                files = sum(counts.values())
                print(f"{which}: exit code {code}, {dict(counts)}, {files / seconds:.1f} files/s, peak {memory} MiB")
        out = folder / "out-stopped"
        arguments = ["predict", str(folder / "many"), "--model", str(model), "--out", str(out)]
        code, _, _ = run(arguments, stop_after=(out, parsed.files // 3))
        kept = len(read_lines(out))
        again, _, _ = run([*arguments, "--resume"])
        whole, parts = (
            {str(line["file"]): line for line in read_lines(where)} for where in (folder / "out-many-0", out)
        )
        print(
            f"stopped by Ctrl-C: exit code {code}, {kept} kept; resumed: exit code {again}, same files and reasons: "
            f"{reasons(whole) == reasons(parts)}, largest difference {difference(whole, parts):.1e}"
        )


def reasons(results: Mapping[str, Any]) -> dict[str, list[str]]:
    """Codes of the reasons by file."""
    return {name: [reason["code"] for reason in line["reasons"]] for name, line in results.items()}


def difference(results: Mapping[str, Any], others: Mapping[str, Any]) -> float:
    """Largest difference of a probability; it is not 0 because batches of other sizes are summed in another order."""
    pairs = ((results[name]["findings"], others[name]["findings"]) for name in results)
    return max(
        (
            abs(one["probability"] - other["probability"])
            for left, right in pairs
            for one, other in zip(left, right, strict=True)
        ),
        default=0.0,
    )


if __name__ == "__main__":
    main()
