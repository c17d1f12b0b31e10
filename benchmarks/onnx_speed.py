"""Time onnxruntime and torch on this processor in turns: ``uv run -m benchmarks.onnx_speed``."""

import argparse
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.paired_timing import ROUNDS, describe_machine, print_rates, time_in_turns
from cxr_lightning.checkpoints.onnx import export_onnx
from cxr_lightning.inference.backend import Backend
from cxr_lightning.inference.onnx_backend import OnnxBackend
from cxr_lightning.inference.torch_backend import TorchBackend
from cxr_lightning.labels import NIH_LABELS
from cxr_lightning.models.classifier import ChestXRayClassifier


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", default="densenet121")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parsed = parser.parse_args()
    print(describe_machine())
    classifier = ChestXRayClassifier(NIH_LABELS, backbone=parsed.backbone, image_size=parsed.image_size).eval()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        differences = export_onnx(classifier, path)
        print("; ".join(f"{name}: {difference:.1e}" for name, difference in differences.items()))
        backends: dict[str, Backend] = {"torch": TorchBackend(classifier), "onnxruntime": OnnxBackend(path)}
        for batch in (1, 16):
            shape = batch, parsed.image_size, parsed.image_size
            images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
            print(f"batches of {batch}")
            cases = {name: partial(backend.probabilities, images) for name, backend in backends.items()}
            print_rates(time_in_turns(cases, parsed.rounds), batch, "torch")


if __name__ == "__main__":
    main()
