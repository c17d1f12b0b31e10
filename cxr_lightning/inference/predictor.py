"""A trained model that predicts image files."""

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.imaging.decoded_image import ImageRejectedError, QualityFlag
from cxr_lightning.imaging.quality_flags import find_quality_flags
from cxr_lightning.imaging.reader import read_image, resize
from cxr_lightning.inference.backend import Backend, load_backend
from cxr_lightning.inference.results import Finding, Result
from cxr_lightning.metrics.ranking import FloatArray
from cxr_lightning.models.postprocess import PostProcessing, read_postprocessing
from cxr_lightning.models.untrained import untrained_columns, without_untrained
from cxr_lightning.utils.json_values import null_to_nan
from cxr_lightning.utils.latest_model import model_file
from cxr_lightning.utils.paths import refuse_url

if TYPE_CHECKING:  # torch is needed for a checkpoint only
    from cxr_lightning.models.classifier import ChestXRayClassifier

BATCH_SIZE = 16
ResultWithPixels = tuple[Result, NDArray[np.uint8] | None]
"""A result, and the network's input, ``(S, S)`` uint8; None for a rejected file."""


@dataclass(frozen=True)
class _DecodedFile:
    """One file, decoded or rejected."""

    path: Path
    pixels: NDArray[np.uint8] | None = None
    flags: tuple[QualityFlag, ...] = ()
    rejection: ImageRejectedError | None = None


class Predictor:
    """A trained model for image files; not for clinical use.

    Args:
        backend: Computes the probabilities.
        operating_point: Name of a stored operating point, such as ``youden``, from whose threshold on findings are
            predicted; by default ``youden``, or else the first that is stored.

    Attributes:
        backend: Computes the probabilities.
        postprocessing: Calibration and operating points that the file carries; None if it carries none.
        operating_point: Name of the operating point that is used; empty if there is none.

    Raises:
        ValueError: If the operating point is not stored.
    """

    def __init__(self, backend: Backend, operating_point: str | None = None) -> None:
        self.backend = backend
        stored = backend.metadata.get("fitted")
        self.postprocessing: PostProcessing | None = None if stored is None else read_postprocessing(stored)
        known = self.postprocessing.operating_points if self.postprocessing else []
        if operating_point is not None and operating_point not in known:
            raise ValueError(
                f"Expected an operating point that the model carries, {known}, but got '{operating_point}'. "
                "evaluate.py save_calibrated=FILE stores operating points in a copy of a checkpoint."
            )
        default = "youden" if "youden" in known else "".join(known[:1])
        self.operating_point = operating_point or default

    @property
    def labels(self) -> tuple[str, ...]:
        """The findings, in order."""
        return self.backend.labels

    @property
    def classifier(self) -> "ChestXRayClassifier":
        """The model in torch, for heat maps and checks.

        Raises:
            ValueError: If the model is an exported file.
        """
        classifier: ChestXRayClassifier | None = getattr(self.backend, "classifier", None)
        if classifier is None:
            raise ValueError(
                "Expected a checkpoint or safetensors file for this but got an ONNX file, which `cxr predict` alone "
                "runs. Give the checkpoint that it was exported from."
            )
        return classifier

    @property
    def synthetic(self) -> bool:
        """Whether the model was trained on synthetic images."""
        return bool(self.backend.metadata.get("data", {}).get("synthetic"))

    def predict(self, paths: str | Path | Sequence[str | Path], *, force: bool = False) -> list[Result]:
        """Predict image files.

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
    ) -> Iterator[ResultWithPixels]:
        """Like :meth:`predict_each`, with the network's input, ``(S, S)`` uint8; None for a rejected file."""
        batches = [paths[start : start + batch_size] for start in range(0, len(paths), batch_size)]
        with ThreadPoolExecutor(max_workers=1) as pool:

            def read(batch: Sequence[Path]) -> list[_DecodedFile]:
                return [self._read(path, force) for path in batch]

            following = pool.submit(read, batches[0]) if batches else None
            for number in range(len(batches)):
                assert following is not None
                inputs = following.result()
                following = pool.submit(read, batches[number + 1]) if number + 1 < len(batches) else None
                yield from self._results(inputs)

    def _read(self, path: Path, force: bool) -> _DecodedFile:
        try:
            image = read_image(path, force=force)
        except ImageRejectedError as error:
            return _DecodedFile(path, rejection=error)
        flags = tuple(find_quality_flags(image, self.backend.image_size))
        return _DecodedFile(path, resize(image.pixels, self.backend.image_size, self.backend.interpolation), flags)

    def _results(self, inputs: Sequence[_DecodedFile]) -> Iterator[ResultWithPixels]:
        pixels = [file.pixels for file in inputs if file.pixels is not None]
        raw, calibrated = self._probabilities(pixels)
        rows = iter(zip(raw, calibrated, strict=True))
        for file in inputs:
            if file.rejection is not None:
                yield Result.of_rejection(file.path, file.rejection), None
            else:
                yield Result(file.path, file.flags, self._findings(*next(rows))), file.pixels

    def _probabilities(self, pixels: Sequence[NDArray[np.uint8]]) -> tuple[FloatArray, FloatArray]:
        """Raw and calibrated, ``(B, C)``; NaN where the model was not trained, or carries no calibration."""
        if not pixels:
            return np.empty((0, len(self.labels))), np.empty((0, len(self.labels)))
        raw, calibrated = self.backend.probabilities(np.stack(pixels))
        untrained = untrained_columns(self.labels, self.backend.metadata)
        if not np.isfinite(np.delete(raw, untrained, axis=1)).all():
            raise ValueError(
                "Expected probabilities from the model but got values that are not numbers. Its weights are "
                "damaged, or the device computes wrongly. Run `cxr check`."
            )
        raw = without_untrained(raw, untrained)
        if self.postprocessing is None:
            return raw, np.full_like(raw, math.nan)
        if calibrated is None:
            return raw, self.postprocessing.calibrate(self.labels, raw)
        return raw, without_untrained(calibrated, untrained)

    def _findings(self, raw: NDArray[np.float64], calibrated: NDArray[np.float64]) -> tuple[Finding, ...]:
        prevalence = self.backend.metadata.get("prevalence", {})
        thresholds = self.postprocessing.thresholds if self.postprocessing else {}
        return tuple(
            Finding(
                label,
                float(raw[column]),
                float(calibrated[column]),
                thresholds.get(label, {}).get(self.operating_point, math.nan),
                null_to_nan(prevalence.get(label)),
            )
            for column, label in enumerate(self.labels)
        )


def load_model(path: str | Path, *, operating_point: str | None = None, device: str | None = None) -> Predictor:
    """A trained model from its file: a checkpoint, an exported model, or weights in another format.

    Args:
        path: The model file, such as ``best.ckpt``, ``model.onnx`` or a Keras ``.h5`` file; ``latest`` is the newest
            best checkpoint below the log folder.
        operating_point: See :class:`Predictor`.
        device: Device name, such as ``cpu`` or ``cuda``; by default a GPU if there is one.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no model file, lacks required metadata, or there is no such device.
    """
    refuse_url(path, "a local checkpoint")
    return Predictor(load_backend(model_file(path), device), operating_point)
