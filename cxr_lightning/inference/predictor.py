"""A trained model that predicts images."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.imaging.image_sources import check_source, is_source
from cxr_lightning.inference.backend import Backend, load_backend
from cxr_lightning.inference.decoded_inputs import DecodedInput, InputDecoder
from cxr_lightning.inference.named_sources import several_sources
from cxr_lightning.inference.result_overlays import Overlays, check_findings, explain_result
from cxr_lightning.inference.results import Finding, Result, Results
from cxr_lightning.metrics.ranking import FloatArray
from cxr_lightning.models.postprocess import PostProcessing, read_postprocessing
from cxr_lightning.models.untrained import untrained_columns, without_untrained
from cxr_lightning.utils.json_values import null_to_nan
from cxr_lightning.utils.latest_model import model_file
from cxr_lightning.utils.paths import refuse_url

if TYPE_CHECKING:  # torch is needed for a checkpoint only
    from cxr_lightning.imaging.image_sources import ImageSource
    from cxr_lightning.models.classifier import ChestXRayClassifier

BATCH_SIZE = 16
ResultWithPixels = tuple[Result, NDArray[np.uint8] | None]
"""A result, and the network's input, ``(S, S)`` uint8; None for a rejected image."""


class Predictor:
    """A trained model for images; not for clinical use.

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

    def predict(
        self,
        images: "ImageSource | Iterable[ImageSource]",
        *,
        value_range: Sequence[float] | None = None,
        force: bool = False,
    ) -> Results:
        """Predict one or several images: files, or images in memory.

        The same picture has the same probabilities in every kind of input. With each result the network's input is
        kept; :meth:`predict_each` keeps nothing.

        Args:
            images: A path, a file's bytes, a binary file object, an array of NumPy, an image of Pillow or a dataset of
                pydicom; or several of any kinds in a list or another iterable. An array is one image, ``(H, W)``, or
                ``(H, W, C)`` with 1, 3 or 4 channels: uint8, uint16, or float with ``value_range``.
            value_range: Values of black and white in the arrays, such as ``(0, 1)``; needed for float arrays.
            force: Go on with DICOM files that are no chest radiographs by their headers.

        Returns:
            One result per image, in order; what is no usable image is ``rejected``, with the reason.

        Raises:
            ValueError: If an input is of another type, shape or dtype, or a value is outside of the range.

        Example:
            >>> from cxr_lightning import load_model
            >>> load_model("best.ckpt").predict("x.png")[0].probabilities  # doctest: +SKIP
            {'Atelectasis': 0.08, 'Cardiomegaly': 0.02, ...}
        """
        alone = is_source(images)
        results = self._predict(several_sources(images), force=force, value_range=value_range, alone=alone)
        return Results(replace(result, image=pixels) for result, pixels in results)

    def explain(
        self,
        image: "ImageSource",
        labels: Sequence[str] | None = None,
        *,
        value_range: Sequence[float] | None = None,
        force: bool = False,
    ) -> Overlays:
        """Compute the heat maps of one image: where the network found its evidence.

        Args:
            image: As in :meth:`predict`.
            labels: Findings; None for the up to three most probable ones that reach their operating points, or else
                the most probable one.
            value_range: As in :meth:`predict`.
            force: As in :meth:`predict`.

        Returns:
            An overlay per finding: the network's input, the heat map as an array, and both as a picture, which a
            notebook shows.

        Raises:
            ValueError: If a finding is unknown or was not trained, the input is not as expected or no usable image, or
                the model has no heat maps.
        """
        check_findings(labels, self.labels, self.backend.metadata)
        check_source(image, "image 1")
        ((result, pixels),) = self._predict([image], force=force, value_range=value_range, alone=True)
        if pixels is None:
            flag = result.flags[0]
            raise ValueError(f"Expected an image in '{result.name}' but {flag.message}")
        return explain_result(self.backend, replace(result, image=pixels), labels)

    def predict_each(
        self,
        images: "Iterable[ImageSource]",
        *,
        value_range: Sequence[float] | None = None,
        force: bool = False,
        batch_size: int = BATCH_SIZE,
    ) -> Iterator[Result]:
        """Like :meth:`predict`, a result at a time; no more than two batches of images are in memory."""
        results = self._predict(images, force=force, value_range=value_range, batch_size=batch_size)
        return (result for result, _ in results)

    def predict_with_pixels(
        self, paths: Iterable[Path], *, force: bool = False, batch_size: int = BATCH_SIZE
    ) -> Iterator[ResultWithPixels]:
        """Like :meth:`predict_each`, with the network's input, ``(S, S)`` uint8; None for a rejected file."""
        return self._predict(paths, force=force, batch_size=batch_size)

    def _predict(
        self,
        images: "Iterable[ImageSource]",
        *,
        force: bool,
        value_range: Sequence[float] | None = None,
        alone: bool = False,
        batch_size: int = BATCH_SIZE,
    ) -> Iterator[ResultWithPixels]:
        decoder = InputDecoder(self.backend.image_size, self.backend.interpolation, value_range, force, alone)
        for inputs in decoder.batches(images, batch_size):
            yield from self._results(inputs)

    def _results(self, inputs: Sequence[DecodedInput]) -> Iterator[ResultWithPixels]:
        pixels = [one.pixels for one in inputs if one.pixels is not None]
        raw, calibrated = self._probabilities(pixels)
        rows = iter(zip(raw, calibrated, strict=True))
        for one in inputs:
            _, name, path = one.source
            if one.rejection is not None:
                yield Result.of_rejection(path, one.rejection, name), None
            else:
                findings = self._findings(*next(rows))
                result = Result(path, one.flags, findings, False, name, self.operating_point, self.synthetic)
                yield result, one.pixels

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
