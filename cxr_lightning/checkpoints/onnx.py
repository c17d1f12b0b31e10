"""A trained model as an ONNX file that runs without this package, from gray pixels to calibrated probabilities."""

import logging
import math
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cxr_lightning.checkpoints.metadata import describe_model
from cxr_lightning.metrics.calibration import Calibrator
from cxr_lightning.models.class_activation import linear_layer_after_pooling
from cxr_lightning.models.network import Network
from cxr_lightning.models.postprocess import read_postprocessing
from cxr_lightning.models.trained_model import TrainedModel
from cxr_lightning.models.untrained import untrained_columns
from cxr_lightning.utils.file_names import (
    METADATA_KEY,
    ONNX_ACTIVATION_MAPS,
    ONNX_IMAGES,
    ONNX_PROBABILITIES,
    ONNX_RAW_PROBABILITIES,
)
from cxr_lightning.utils.io import atomic_path

ONNX_TOLERANCE = 1e-5
"""Accepted difference between torch and ONNX, of a probability, or of a map relative to its largest value."""
_VERBOSE_LOGGERS = ("onnxscript", "onnx_ir", "torch.onnx")
_BATCH_SIZES = (1, 2, 5)


class ExportedNetwork(nn.Module):
    """The computation of an exported file: calibrated and raw probabilities, and class-activation maps.

    Args:
        network: A trained network.
        calibrators: One per label.
        untrained: Columns of labels that the network was not trained on; their outputs are NaN.

    Attributes:
        has_maps: Whether there are class-activation maps: for networks whose head is global pooling and a linear layer.
    """

    slope: Tensor
    intercept: Tensor

    undefined: Tensor

    def __init__(self, network: Network, calibrators: Sequence[Calibrator], untrained: Sequence[int] = ()) -> None:
        super().__init__()
        self.network = network
        self._linear_layer = linear_layer_after_pooling(network)
        self.has_maps = self._linear_layer is not None
        slopes = [1.0 if one.method == "none" else one.slope for one in calibrators]
        intercepts = [0.0 if one.method == "none" else one.intercept for one in calibrators]
        self.register_buffer("slope", torch.tensor(slopes))
        self.register_buffer("intercept", torch.tensor(intercepts))
        undefined = [math.nan if column in untrained else 0.0 for column in range(len(calibrators))]
        self.register_buffer("undefined", torch.tensor(undefined))
        self._all_trained = not untrained

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Calibrated and raw probabilities, and class-activation maps.

        Args:
            images: ``(B, 1, S, S)`` uint8.

        Returns:
            ``(B, C)``, ``(B, C)`` and, where there are maps, ``(B, C, h, w)``: their mean over the image is the logit
            less the linear layer's bias.

        References:
            Zhou et al., "Learning deep features for discriminative localization", 2016.
        """
        features = self.network.features(self.network.preprocess(images))
        logits = self.network.head(features)
        probabilities = (torch.sigmoid(self.slope * logits + self.intercept), torch.sigmoid(logits))
        if not self._all_trained:
            probabilities = (probabilities[0] + self.undefined, probabilities[1] + self.undefined)
        if self._linear_layer is None:
            return probabilities
        maps = torch.einsum("bkhw,ck->bchw", features, self.network.get_parameter(f"{self._linear_layer}.weight"))
        return (*probabilities, maps if self._all_trained else maps + self.undefined[:, None, None])


def export_onnx(model: TrainedModel, path: Path) -> dict[str, float]:
    """Write an ONNX file and compare it with torch.

    The file's metadata holds, as JSON under ``cxr_lightning``, what the checkpoint's metadata holds: labels, image size
    and interpolation, fingerprint of the data, prevalence, calibration and operating points, versions.

    Args:
        model: A trained model.
        path: File to write; must not exist.

    Returns:
        Largest difference from torch by output, on random pixels at several batch sizes; relative to the largest value
        if that is above 1.

    Raises:
        ValueError: If there is such a file, or an output differs by more than ``ONNX_TOLERANCE``; nothing is written.
        ImportError: If the extra is not installed.
    """
    if path.exists():
        raise ValueError(f"Expected a new file but '{path}' exists already. Choose another name.")
    check_onnx_installed()
    untrained = untrained_columns(model.labels, model.metadata)
    exported = ExportedNetwork(model.network.cpu().eval(), _calibrators(model), untrained).eval()
    size = int(model.hparams["image_size"])
    for name in _VERBOSE_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    names = [ONNX_PROBABILITIES, ONNX_RAW_PROBABILITIES, *([ONNX_ACTIVATION_MAPS] if exported.has_maps else [])]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            exported,
            (torch.zeros(2, 1, size, size, dtype=torch.uint8),),
            dynamo=True,
            input_names=[ONNX_IMAGES],
            output_names=names,
            dynamic_shapes={"images": {0: torch.export.Dim("batch", min=1)}},
            verbose=False,
        )
    assert program is not None
    program.model.metadata_props[METADATA_KEY] = describe_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        program.save(temporary)
        differences = _compare(exported, temporary, names, size)
        if not (worst := float(np.max(list(differences.values())))) <= ONNX_TOLERANCE:  # NaN is refused too
            raise ValueError(
                f"Expected ONNX's outputs within {ONNX_TOLERANCE} of torch's but they differ by {worst:.1e}. Nothing "
                "is written. Install other versions of torch or onnxruntime."
            )
    return differences


def _calibrators(model: TrainedModel) -> list[Calibrator]:
    """A calibrator per label; the identity where the model carries no calibration."""
    stored = model.metadata.get("fitted")
    calibrators = {} if stored is None else read_postprocessing(stored).calibrators
    return [calibrators.get(label, Calibrator()) for label in model.labels]


def check_onnx_installed() -> None:
    """Refuse an export without the packages of the extra ``onnx``.

    Raises:
        ImportError: If it is not installed.
    """
    try:
        import onnx  # noqa: F401  # of an optional extra
        import onnxruntime  # noqa: F401  # of an optional extra
        import onnxscript  # noqa: F401  # of an optional extra
    except ImportError as error:
        raise ImportError(
            f"Expected the packages of the extra onnx but '{error.name}' is not installed. Run: uv sync --extra onnx."
        ) from error


def _compare(exported: ExportedNetwork, path: Path, names: list[str], size: int) -> dict[str, float]:
    from onnxruntime import InferenceSession  # of an optional extra

    session = InferenceSession(str(path), providers=["CPUExecutionProvider"])
    generator = np.random.default_rng(0)
    differences = dict.fromkeys(names, 0.0)
    for batch in _BATCH_SIZES:
        images: NDArray[np.uint8] = generator.integers(0, 256, (batch, 1, size, size), dtype=np.uint8)
        with torch.inference_mode():
            expected = exported(torch.from_numpy(images))
        trained = ~exported.undefined.isnan().numpy()
        for name, output, onnx_output in zip(names, expected, session.run(names, {ONNX_IMAGES: images}), strict=True):
            scale = max(1.0, float(output[:, trained].abs().max()))
            difference = np.abs(output.numpy() - onnx_output)[:, trained].max() / scale
            differences[name] = float(np.max([differences[name], difference]))
    return differences
