"""A trained model that takes image files."""

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from cxr_lightning.checkpoints.foreign.build import build_foreign_classifier
from cxr_lightning.checkpoints.foreign.reader import is_foreign_file
from cxr_lightning.checkpoints.foreign.resolve import ForeignSettings, resolve_foreign_model
from cxr_lightning.checkpoints.load import load_model as load_classifier
from cxr_lightning.imaging.decoded_image import ImageRejectedError
from cxr_lightning.imaging.quality_flags import QualityFlag, find_quality_flags
from cxr_lightning.imaging.reader import read_image, resize
from cxr_lightning.inference.backends import Array, Network, OnnxNetwork, TorchNetwork
from cxr_lightning.inference.results import Finding, Result
from cxr_lightning.models.classifier import ChestXRayClassifier
from cxr_lightning.models.postprocess import Fitted, fitted_from_record
from cxr_lightning.models.reference import exact_probabilities

BATCH_SIZE = 16
REFERENCE_TOLERANCE = 1e-4
"""Of a probability; processors that add in another order differ by about 1e-6."""
Predicted = tuple[Result, NDArray[np.uint8] | None]


@dataclass(frozen=True)
class _Input:
    """One file, decoded or rejected."""

    path: Path
    pixels: NDArray[np.uint8] | None = None
    remarks: tuple[QualityFlag, ...] = ()
    rejection: ImageRejectedError | None = None


class Model:
    """A trained model for image files; not for clinical use.

    Args:
        network: What computes.
        operating_point: Name of the stored one to judge by, such as ``youden``; the first that is stored by default.

    Attributes:
        network: What computes.
        fitted: Calibration and operating points that the file carries; None if it carries none.
        operating_point: The name of the one that is used; empty if there is none.

    Raises:
        ValueError: If the operating point is not stored.
    """

    def __init__(self, network: Network, operating_point: str | None = None) -> None:
        self.network = network
        record = network.record.get("fitted")
        self.fitted: Fitted | None = None if record is None else fitted_from_record(record)
        known = sorted({name for points in (self.fitted.thresholds.values() if self.fitted else ()) for name in points})
        if operating_point is not None and operating_point not in known:
            raise ValueError(
                f"Expected an operating point that the model carries, {known}, but got '{operating_point}'. "
                "evaluate.py save_calibrated=FILE stores operating points in a copy of a checkpoint."
            )
        first = "youden" if "youden" in known else "".join(known[:1])
        self.operating_point = operating_point or first

    @property
    def labels(self) -> tuple[str, ...]:
        """The findings, in order."""
        return self.network.labels

    @property
    def classifier(self) -> ChestXRayClassifier:
        """The network in torch, for heat maps and checks.

        Raises:
            ValueError: If the model is of an exported file.
        """
        if not isinstance(self.network, TorchNetwork):
            raise ValueError("Expected a checkpoint for this but got an exported model. Give the checkpoint.")
        return self.network.classifier

    @property
    def synthetic(self) -> bool:
        """Whether it was trained on synthetic images."""
        return bool(self.network.record.get("data", {}).get("synthetic"))

    def predict(self, paths: str | Path | Sequence[str | Path], *, force: bool = False) -> list[Result]:
        """What the model says of image files.

        Args:
            paths: One or several, in any format that :func:`cxr_lightning.imaging.reader.read_image` reads.
            force: Go on with DICOM files that are no chest radiographs by their headers.

        Returns:
            One result per file, in order; a file that is no usable image is ``rejected``, with the reason.

        Example:
            >>> from cxr_lightning import load_model
            >>> load_model("best.ckpt").predict("x.png")[0].probabilities  # doctest: +SKIP
            {'Atelectasis': 0.08, 'Cardiomegaly': 0.02, ...}
        """
        several = [paths] if isinstance(paths, str | Path) else paths
        return list(self.predict_each([Path(path) for path in several], force=force))

    def predict_each(
        self, paths: Sequence[Path], *, force: bool = False, batch_size: int = BATCH_SIZE
    ) -> Iterator[Result]:
        """Like :meth:`predict`, a result at a time; no more than two batches of images are in memory."""
        return (result for result, _ in self.predict_with_pixels(paths, force=force, batch_size=batch_size))

    def predict_with_pixels(
        self, paths: Sequence[Path], *, force: bool = False, batch_size: int = BATCH_SIZE
    ) -> Iterator[Predicted]:
        """Like :meth:`predict_each`, with what the network was given, ``(S, S)`` uint8; None for a rejected file."""
        batches = [paths[start : start + batch_size] for start in range(0, len(paths), batch_size)]
        with ThreadPoolExecutor(max_workers=1) as pool:

            def read(batch: Sequence[Path]) -> list["_Input"]:
                return [self._read(path, force) for path in batch]

            following = pool.submit(read, batches[0]) if batches else None
            for number in range(len(batches)):
                assert following is not None
                inputs = following.result()
                following = pool.submit(read, batches[number + 1]) if number + 1 < len(batches) else None
                yield from self._results(inputs)

    def difference_from_reference(self) -> float:
        """How far the probabilities of the file's reference picture are from those computed when it was saved.

        Raises:
            ValueError: If the file has no reference picture.
        """
        reference = self.classifier.reference
        if reference is None or not reference.probabilities:
            raise ValueError(
                "Expected a reference picture and its probabilities with the model but there are none: it is no "
                "checkpoint, or one of an earlier version. `cxr convert` makes a checkpoint of other weights."
            )
        now = exact_probabilities(self.classifier, reference.image)
        return float(np.abs(np.array(now, float) - np.array(reference.probabilities, float)).max())

    def _read(self, path: Path, force: bool) -> _Input:
        try:
            picture = read_image(path, force=force)
        except ImageRejectedError as error:
            return _Input(path, rejection=error)
        remarks = tuple(find_quality_flags(picture, self.network.image_size))
        return _Input(path, resize(picture.pixels, self.network.image_size, self.network.interpolation), remarks)

    def _results(self, inputs: Sequence[_Input]) -> Iterator[Predicted]:
        pixels = [one.pixels for one in inputs if one.pixels is not None]
        raw, calibrated = self._probabilities(pixels)
        rows = iter(zip(raw, calibrated, strict=True))
        for one in inputs:
            if one.rejection is not None:
                yield Result.of_rejection(one.path, one.rejection), None
            else:
                yield Result(one.path, one.remarks, self._findings(*next(rows))), one.pixels

    def _probabilities(self, pixels: Sequence[NDArray[np.uint8]]) -> tuple[Array, Array]:
        """Raw and calibrated, ``(B, C)``; NaN where the model carries no calibration."""
        if not pixels:
            return np.empty((0, len(self.labels))), np.empty((0, len(self.labels)))
        raw, calibrated = self.network.probabilities(np.stack(pixels))
        if not np.isfinite(raw).all():
            raise ValueError(
                "Expected probabilities from the model but got values that are not numbers. Its weights are "
                "damaged, or the device computes wrongly: `cxr check` tells."
            )
        if self.fitted is None:
            return raw, np.full_like(raw, math.nan)
        return raw, self.fitted.calibrate(self.labels, raw) if calibrated is None else calibrated

    def _findings(self, raw: NDArray[np.float64], calibrated: NDArray[np.float64]) -> tuple[Finding, ...]:
        prevalence = self.network.record.get("prevalence", {})
        thresholds = self.fitted.thresholds if self.fitted else {}
        return tuple(
            Finding(
                label,
                float(raw[column]),
                float(calibrated[column]),
                thresholds.get(label, {}).get(self.operating_point, math.nan),
                math.nan if prevalence.get(label) is None else float(prevalence[label]),
            )
            for column, label in enumerate(self.labels)
        )


def refuse_difference(difference: float) -> None:
    """Go on only if an installation computes what the one did that saved a model.

    Args:
        difference: From :meth:`Model.difference_from_reference`.

    Raises:
        ValueError: If it is more than ``REFERENCE_TOLERANCE``.
    """
    if not difference <= REFERENCE_TOLERANCE:  # nor is what is not a number
        raise ValueError(
            f"Expected the reference picture's probabilities within {REFERENCE_TOLERANCE} of those stored with the "
            f"model but they differ by {difference:.1e}. Install the versions that it was saved with; do not use this "
            "installation for it."
        )


def load_model(path: str | Path, *, operating_point: str | None = None, device: str | None = None) -> Model:
    """A trained model from its file: a checkpoint, an exported model, or weights in another format.

    Args:
        path: Such as ``best.ckpt``, ``model.onnx`` or a Keras ``.h5`` file.
        operating_point: See :class:`Model`.
        device: Such as ``cpu`` or ``cuda``; a GPU if there is one by default.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is none, or does not say all that is needed, or there is no such device.
    """
    if Path(path).suffix == ".onnx":
        if device not in (None, "cpu"):
            raise ValueError(f"Expected the device cpu for '{path}' but got '{device}'. Leave it out.")
        return Model(OnnxNetwork(Path(path)), operating_point)
    name = str(path)
    classifier = (
        build_foreign_classifier(resolve_foreign_model(name, ForeignSettings()))
        if is_foreign_file(name)
        else load_classifier(name)
    )
    chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        if torch.device(chosen).type == "meta":
            raise RuntimeError("it computes nothing")
        classifier = classifier.to(torch.device(chosen))
    except (RuntimeError, AssertionError) as error:  # torch has no kind of its own for this
        reason = " ".join(str(error).split(". ")[0].split())
        raise ValueError(f"Expected a usable device but got '{chosen}' ({reason}). Use cpu.") from error
    return Model(TorchNetwork(classifier), operating_point)
