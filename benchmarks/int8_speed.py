"""Time a model in int8 and in float32 on this processor in turns: ``uv run -m benchmarks.int8_speed best.ckpt FOLDER``.

The folder is a labeled set as ``cxr export --check-on`` takes it: the table of AUROC is printed first.
"""

import argparse
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.paired_timing import ROUNDS, describe_machine, print_rates, time_in_turns
from cxr_lightning.checkpoints.onnx import export_onnx
from cxr_lightning.checkpoints.read import load_trained_model
from cxr_lightning.cli.jobs.export_int8 import export_quantized
from cxr_lightning.inference.backend import Computation
from cxr_lightning.inference.onnx_backend import OnnxBackend


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("check_on", type=Path)
    parser.add_argument("--max-loss", type=float, default=0.002)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parsed = parser.parse_args()
    print(describe_machine())
    with TemporaryDirectory() as folder:
        files = {name: Path(folder) / f"{name}.onnx" for name in ("float32", "int8")}
        export_onnx(load_trained_model(parsed.model), files["float32"])
        export_quantized(load_trained_model(parsed.model), files["int8"], parsed.check_on, max_loss=parsed.max_loss)
        print("; ".join(f"{name}: {path.stat().st_size / 1e6:.1f} MB" for name, path in files.items()))
        backends = {name: OnnxBackend(path, Computation("cpu", threads=1)) for name, path in files.items()}
        for batch in (1, 4, 16):
            size = backends["int8"].image_size
            images = np.random.default_rng(0).integers(0, 256, (batch, size, size), dtype=np.uint8)
            print(f"batches of {batch}, one thread")
            cases = {name: partial(backend.probabilities, images) for name, backend in backends.items()}
            print_rates(time_in_turns(cases, parsed.rounds), batch, "float32")


if __name__ == "__main__":
    main()
