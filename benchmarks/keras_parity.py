"""Compare our probabilities with those of real Keras for the files that tests/tools/write_keras_files.py wrote.

``python benchmarks/keras_parity.py FOLDER`` where FOLDER is the script's output. It prints one line per file.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from cxr_lightning.checkpoints.foreign.foreign_weights import ForeignWeights
from cxr_lightning.checkpoints.foreign.reader import read_foreign_weights
from cxr_lightning.models.backbones.registry import build_backbone


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    worst = 0.0
    for folder in sorted(path for path in parser.parse_args().folder.glob("densenet*") if path.is_dir()):
        images = torch.from_numpy(np.load(folder / "inputs.npy")).permute(0, 3, 1, 2)
        for path in sorted(path for path in folder.iterdir() if path.suffix in (".h5", ".keras")):
            started = time.perf_counter()
            source = read_foreign_weights(path)
            seconds = time.perf_counter() - started
            difference = compare(source, images, folder, path)
            worst = max(worst, difference)
            print(f"{folder.name} {path.name}: {difference:.1e}, read in {seconds:.2f} s")
    print(f"largest difference of a probability or pooled feature: {worst:.1e}")


def compare(source: ForeignWeights, images: torch.Tensor, folder: Path, path: Path) -> float:
    """The largest difference; of pooled features, relative to their largest, where there is no last layer."""
    network = build_backbone(
        source.backbone_name(path),
        source.num_outputs or 1,
        batch_norm_epsilon=source.batch_norm_epsilon,
        final_relu=source.final_relu,
    ).eval()
    network.load_state_dict(dict(source.state), strict=False)
    with torch.no_grad():
        if source.num_outputs is None:
            features = torch.relu(network.get_submodule("features")(images)).mean(dim=(2, 3)).numpy()
            expected = np.load(folder / "pooled_features.npy")
            return float(np.abs(features - expected).max() / np.abs(expected).max())
        variant = "_no_final_relu" if "no_final_relu" in path.name else ""
        return float(np.abs(network(images).sigmoid().numpy() - np.load(folder / f"probabilities{variant}.npy")).max())


if __name__ == "__main__":
    main()
