"""A trained model as an ONNX file that runs without this package: grey pixels in, calibrated probabilities out."""

import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cxr_lightning.checkpoints.safetensors import description
from cxr_lightning.explain.grad_cam import split_network
from cxr_lightning.metrics.calibration import Calibrator
from cxr_lightning.models.backbones import head_name
from cxr_lightning.models.classifier import ChestXRayClassifier
from cxr_lightning.utils.torch_io import RECORD_KEY

IMAGES, PROBABILITIES, RAW, MAPS = "images", "probabilities", "raw_probabilities", "activation_maps"
"""Names of the input and of the outputs."""
TOLERANCE = 1e-5
"""Between torch and ONNX, of a probability, or of a map relative to its largest value."""
_TALKERS = ("onnxscript", "onnx_ir", "torch.onnx")
_BATCHES = (1, 2, 5)


class Exported(nn.Module):
    """What the file computes.

    Args:
        model: Trained.

    Attributes:
        has_maps: Whether there are class-activation maps: for networks with a linear layer after global pooling.
    """

    slope: Tensor
    intercept: Tensor

    def __init__(self, model: ChestXRayClassifier) -> None:
        super().__init__()
        backbone = str(model.hparams["backbone"])
        self.preprocess, self.network = model.preprocess, model.network
        self.trunk, self.rest = split_network(model.network, backbone, "post_relu")
        self.has_maps = not backbone.startswith("convnext")  # normalises between pooling and the linear layer
        self.head: Any = model.network.get_submodule(head_name(backbone))
        stored = model.record.get("fitted", {}).get("calibration", {})
        calibrators = [Calibrator(**stored[label]) if label in stored else Calibrator() for label in model.labels]
        plain = [calibrator.method == "none" for calibrator in calibrators]
        slopes = [1.0 if none else one.slope for none, one in zip(plain, calibrators, strict=True)]
        intercepts = [0.0 if none else one.intercept for none, one in zip(plain, calibrators, strict=True)]
        self.register_buffer("slope", torch.tensor(slopes))
        self.register_buffer("intercept", torch.tensor(intercepts))

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Calibrated and raw probabilities, and class-activation maps.

        Args:
            images: ``(B, 1, S, S)`` uint8.

        Returns:
            ``(B, C)``, ``(B, C)`` and, where there are maps, ``(B, C, h, w)``: their mean over the picture is the logit
            less the linear layer's bias.

        References:
            Zhou et al., "Learning deep features for discriminative localization", 2016.
        """
        features = self.trunk(self.preprocess(images))
        logits = self.rest(features)
        found = (torch.sigmoid(self.slope * logits + self.intercept), torch.sigmoid(logits))
        if not self.has_maps:
            return found
        return (*found, torch.einsum("bkhw,ck->bchw", features, self.head.weight))


def export_onnx(model: ChestXRayClassifier, path: Path) -> dict[str, float]:
    """Write an ONNX file and compare it with torch.

    The file's metadata holds, as JSON under ``cxr_lightning``, what the checkpoint's record holds: labels, image size
    and interpolation, fingerprint of the data, prevalence, calibration and operating points, versions.

    Args:
        model: Trained.
        path: File to write; must not exist.

    Returns:
        By output, the largest difference from torch, on random pixels at several batch sizes; of values above 1,
        relative to the largest.

    Raises:
        ValueError: If there is such a file, or an output differs by more than ``TOLERANCE``; nothing is written.
        ImportError: If the extra is not installed.
    """
    if path.exists():
        raise ValueError(f"Expected a new file but '{path}' exists already. Choose another name.")
    check_installed()
    exported = Exported(model.cpu().eval()).eval()
    size = int(model.hparams["image_size"])
    for talker in _TALKERS:
        logging.getLogger(talker).setLevel(logging.WARNING)
    names = [PROBABILITIES, RAW, *([MAPS] if exported.has_maps else [])]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            exported,
            (torch.zeros(2, 1, size, size, dtype=torch.uint8),),
            dynamo=True,
            input_names=[IMAGES],
            output_names=names,
            dynamic_shapes={"images": {0: torch.export.Dim("batch", min=1)}},
            verbose=False,
        )
    assert program is not None
    program.model.metadata_props[RECORD_KEY] = description(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.tmp")
    try:
        program.save(unfinished)
        differences = _compare(exported, unfinished, names, size)
        if not (worst := float(np.max(list(differences.values())))) <= TOLERANCE:  # nor is what is not a number
            raise ValueError(
                f"Expected ONNX's outputs within {TOLERANCE} of torch's but they differ by {worst:.1e}. Nothing "
                "is written. Install other versions of torch or onnxruntime."
            )
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return differences


def check_installed() -> None:
    """Refuse to go on without the extra.

    Raises:
        ImportError: If it is not installed.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"Expected the packages of the extra onnx but '{error.name}' is not installed. Run: uv sync --extra onnx."
        ) from error


def _compare(exported: Exported, path: Path, names: list[str], size: int) -> dict[str, float]:
    from onnxruntime import InferenceSession

    session = InferenceSession(str(path), providers=["CPUExecutionProvider"])
    generator = np.random.default_rng(0)
    differences = dict.fromkeys(names, 0.0)
    for batch in _BATCHES:
        images: NDArray[np.uint8] = generator.integers(0, 256, (batch, 1, size, size), dtype=np.uint8)
        with torch.inference_mode():
            expected = exported(torch.from_numpy(images))
        for name, ours, theirs in zip(names, expected, session.run(names, {IMAGES: images}), strict=True):
            largest = max(1.0, float(ours.abs().max()))
            differences[name] = float(np.max([differences[name], np.abs(ours.numpy() - theirs).max() / largest]))
    return differences
