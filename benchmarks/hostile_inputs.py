"""Time and memory of hostile inputs, through the commands that users run.

    uv run --extra onnx benchmarks/hostile_inputs.py

Each case is a process of its own; the memory is the sum over it and its helper processes, sampled every 50 ms. A case
holds if it ends with status 1 (3: rejected images), one line that begins with "error:" or "rejected:", and no
traceback, in less than 20 s and 1.5 GB.
"""

import argparse
import os
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

ROOT = Path(__file__).resolve().parents[1]
FILES = ROOT / "tests" / "data" / "version_0_1"
DEFLATED = b"1.2.840.10008.1.2.1.99"
MAX_SECONDS, MAX_BYTES = 20.0, 1.5e9


@dataclass(frozen=True)
class Outcome:
    """How a command ended, what it took, and the line that it ended with."""

    status: int
    seconds: float
    memory: float
    line: str


def run(command: Sequence[str], folder: Path) -> Outcome:
    """Run a command in a session of its own, and sample the memory of its processes."""
    environment = {**os.environ, "CXR_CACHE_DIR": str(folder / "cache"), "PYTHONPATH": str(ROOT)}
    started, peak = time.monotonic(), 0
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    while process.poll() is None and time.monotonic() - started < 10 * MAX_SECONDS:
        peak = max(peak, memory_of_session(process.pid))
        time.sleep(0.05)
    process.kill()
    output = process.communicate()[0].decode(errors="replace")
    lines = [line for line in output.splitlines() if line.startswith(("error:", "rejected:"))]
    broken = "Traceback" in output or len(lines) != 1
    line = f"NOT ONE LINE: {output[-300:]!r}" if broken else lines[0]
    return Outcome(process.returncode, time.monotonic() - started, peak, line)


def memory_of_session(session: int) -> int:
    """Bytes of memory that the processes of a session use now."""
    total = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == session:
                total += int((folder / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except (OSError, IndexError, ValueError):  # it has ended
            continue
    return total


def element(group: int, number: int, kind: bytes, value: bytes) -> bytes:
    """An element of a DICOM file, in explicit little endian."""
    long = kind in (b"OB", b"UN", b"OW")
    length = struct.pack("<HI", 0, len(value)) if long else struct.pack("<H", len(value))
    return struct.pack("<HH", group, number) + kind + length + value


def deflated_dicom(path: Path, *, late: bool) -> None:
    """A few kilobytes that inflate to four gigabytes, with the transfer syntax at the header's start or end."""
    private = element(2, 0x0102, b"OB", bytes(20_000)) if late else b""
    syntax = element(2, 0x0010, b"UI", DEFLATED)
    parts = [element(2, 1, b"OB", b"\0\1"), *([private, syntax] if late else [syntax, private])]
    header = b"".join(parts)
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = b"".join(packer.compress(bytes(1 << 24)) for _ in range(256)) + packer.flush()
    length = element(2, 0, b"UL", struct.pack("<I", len(header)))
    path.write_bytes(bytes(128) + b"DICM" + length + header + body)


def onnx_with(path: Path, kind: str) -> None:
    """The small model of the tests with a loop, or with a constant of 64 GB."""
    model = onnx.load(FILES / "model.onnx")
    if kind == "constant":
        model.graph.initializer.append(numpy_helper.from_array(np.array([1 << 14, 1 << 14, 64]), "shape"))
        model.graph.node.append(helper.make_node("ConstantOfShape", ["shape"], ["huge"]))
        model.graph.node.append(helper.make_node("ReduceSum", ["huge"], ["kept"]))
        model.graph.output.append(helper.make_tensor_value_info("kept", TensorProto.FLOAT, ["a", "b", "c"]))
    else:
        model.graph.initializer.append(numpy_helper.from_array(np.array(2**62), "trips"))
        body = helper.make_graph(
            [helper.make_node("Identity", ["go"], ["again"])],
            "body",
            [helper.make_tensor_value_info(name, TensorProto.BOOL, []) for name in ("number", "go")],
            [helper.make_tensor_value_info("again", TensorProto.BOOL, [])],
        )
        model.graph.node.append(helper.make_node("Loop", ["trips", ""], [], body=body))
    onnx.save(model, path)


def cases(folder: Path) -> dict[str, list[str]]:
    """Write all inputs; the command of each case."""
    predict = [sys.executable, "-m", "cxr_lightning", "predict", "--model", str(FILES / "model.onnx")]
    train = [sys.executable, str(ROOT / "train.py"), "trainer.accelerator=cpu"]
    made = {name: folder / name for name in ("early.dcm", "late.dcm", "pipe.png", "pipe.csv")}
    deflated_dicom(made["early.dcm"], late=False)
    deflated_dicom(made["late.dcm"], late=True)
    for name in ("pipe.png", "pipe.csv"):
        os.mkfifo(made[name])
    for kind in ("loop", "constant"):
        onnx_with(folder / f"{kind}.onnx", kind)
    content = torch.load(FILES / "best.ckpt", weights_only=True)
    content["hyper_parameters"]["labels"] = [f"finding {number}" for number in range(300_000)]
    torch.save(content, folder / "labels.ckpt")
    levels = [f"l{number}: &l{number} [{', '.join([f'*l{number - 1}'] * 9)}]" for number in range(1, 10)]
    (folder / "experiment").mkdir()
    (folder / "experiment" / "laughs.yaml").write_text("\n".join(["l0: &l0 [x]", *levels]) + "\n")
    (folder / "wide.csv").write_text(",".join(["Image Index", *(f"c{number}" for number in range(1_000))]) + "\n")
    (folder / "experiment" / "labels.yaml").write_text(f"data: {{labels: [{', '.join(map(str, range(300_000)))}]}}")
    film = str(ROOT / "docs" / "heatmap.png")
    table = [*train, "data=csv", f"data.root={folder}", "data.split=patient", "model.weights=null"]
    return {
        "deflated DICOM, syntax early": [*predict, str(made["early.dcm"])],
        "deflated DICOM, syntax late": [*predict, str(made["late.dcm"])],
        "ONNX with a loop": [*predict[:-1], str(folder / "loop.onnx"), film],
        "ONNX with a constant of 64 GB": [*predict[:-1], str(folder / "constant.onnx"), film],
        "YAML with nested aliases": [*train, "experiment=laughs", "--config-dir", str(folder)],
        "checkpoint with 300,000 labels": [*predict[:-1], str(folder / "labels.ckpt"), film],
        "300,000 labels in a file of settings": [*train, "experiment=labels", "--config-dir", str(folder)],
        "15,000 labels as a setting": [*train, f"data.labels=[{','.join(f'f{number}' for number in range(15_000))}]"],
        "pipe as an image": [*predict, str(made["pipe.png"])],
        "pipe as a label file": [*table, "data.source.file=pipe.csv"],
        "/dev/zero as an image": [*predict, "/dev/zero"],
        "/dev/zero as a model": [*predict[:-1], "/dev/zero", film],
        "/dev/zero as a label file": [*table, "data.source.file=/dev/zero"],
        "label file of 1,001 columns": [*table, "data.source.file=wide.csv"],
    }


def main() -> None:
    """Run all cases, or those whose name holds a text, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="text in the names of the cases to run")
    only = parser.parse_args().only
    with tempfile.TemporaryDirectory() as temporary:
        print("| case | seconds | MB | ends with |\n| --- | --- | --- | --- |")
        for name, command in cases(Path(temporary)).items():
            if only in name:
                outcome = run(command, Path(temporary))
                held = outcome.status in (1, 3) and outcome.seconds < MAX_SECONDS and outcome.memory < MAX_BYTES
                line = outcome.line.replace(temporary, "").replace(str(ROOT), "").replace("|", "\\|")[:110]
                failure = "" if held else f"FAILED, status {outcome.status}: "
                print(
                    f"| {name} | {outcome.seconds:.1f} | {outcome.memory / 1e6:.0f} | {failure}`{line}` |", flush=True
                )


if __name__ == "__main__":
    main()
