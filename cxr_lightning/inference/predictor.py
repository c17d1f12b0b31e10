"""A trained model that predicts image files."""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.imaging.decoded_image import ImageRejectedError, QualityFlag
from cxr_lightning.imaging.quality_flags import find_quality_flags
from cxr_lightning.imaging.reader import read_image, resize
from cxr_lightning.inference.backend import Backend, Computation, Precision, load_backend
from cxr_lightning.inference.pipeline import Pipeline
from cxr_lightning.inference.results import Finding, Result
from cxr_lightning.metrics.ranking import FloatArray
from cxr_lightning.models.postprocess import PostProcessing, read_postprocessing
from cxr_lightning.models.untrained import untrained_columns, without_untrained
from cxr_lightning.utils.json_values import null_to_nan
from cxr_lightning.utils.latest_model import model_file
from cxr_lightning.utils.paths import refuse_url
from cxr_lightning.utils.subprocesses import usable_cores
from cxr_lightning.utils.validation import check_choice

if TYPE_CHECKING:  # torch is needed for a checkpoint only
    from cxr_lightning.models.classifier import ChestXRayClassifier
    from cxr_lightning.models.trained_model import TrainedModel

_AS_CLASSIFIER = "cxr_lightning.checkpoints.load:as_classifier"
_Row = tuple[FloatArray, FloatArray]
"""Raw and calibrated probabilities of one image, each ``(C,)``."""
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
        threads: Number of threads that decode images; by default one per usable core.

    Attributes:
        backend: Computes the probabilities.
        postprocessing: Calibration and operating points that the file carries; None if it carries none.
        operating_point: Name of the operating point that is used; empty if there is none.

    Raises:
        ValueError: If the operating point is not stored.
    """

    def __init__(self, backend: Backend, operating_point: str | None = None, *, threads: int | None = None) -> None:
        self.backend = backend
        self.threads = threads or usable_cores()
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
    def model(self) -> "TrainedModel":
        """The model in torch, for checks and exports.

        Raises:
            ValueError: If the model is an exported ONNX file.
        """
        model: TrainedModel | None = getattr(self.backend, "model", None)
        if model is None:
            raise ValueError(
                "Expected a checkpoint or safetensors file for this but got an ONNX file, which predicts and explains "
                "alone. Give the checkpoint that it was exported from."
            )
        return model

    @property
    def classifier(self) -> "ChestXRayClassifier":
        """The model as a LightningModule, which imports Lightning.

        Raises:
            ValueError: If the model is an exported ONNX file.
        """
        classifier: ChestXRayClassifier = resolve_name(_AS_CLASSIFIER)(self.model)
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
        self, paths: Iterable[Path], *, force: bool = False, batch_size: int | None = None
    ) -> Iterator[Result]:
        """Like :meth:`predict`, a result at a time; what is in memory does not depend on the number of files.

        Args:
            paths: The files, which are asked for as they are read.
            force: As in :meth:`predict`.
            batch_size: Number of images that are computed at once; None for one that suits the device.
        """
        return (result for result, _ in self.predict_with_pixels(paths, force=force, batch_size=batch_size))

    def predict_with_pixels(
        self, paths: Iterable[Path], *, force: bool = False, batch_size: int | None = None
    ) -> Iterator[ResultWithPixels]:
        """Like :meth:`predict_each`, with the network's input, ``(S, S)`` uint8; None for a rejected file."""
        pipeline: Pipeline[Path, _DecodedFile, _Row] = Pipeline(
            partial(self._read, force=force),
            lambda file: file.rejection is None,
            self._rows,
            batch_size=batch_size or self.backend.batch_size,
            threads=self.threads,
            concurrency=self.backend.concurrency,
        )
        with closing(pipeline.run(paths)) as results:
            for file, row in results:
                if file.rejection is not None:
                    yield Result.of_rejection(file.path, file.rejection), None
                elif row is not None:
                    yield Result(file.path, file.flags, self._findings(*row)), file.pixels

    def _read(self, path: Path, *, force: bool) -> _DecodedFile:
        try:
            image = read_image(path, force=force)
        except ImageRejectedError as error:
            return _DecodedFile(path, rejection=error)
        flags = tuple(find_quality_flags(image, self.backend.image_size))
        return _DecodedFile(path, resize(image.pixels, self.backend.image_size, self.backend.interpolation), flags)

    def _rows(self, files: Sequence[_DecodedFile]) -> list[_Row]:
        """Raw and calibrated probabilities of usable files."""
        raw, calibrated = self._probabilities([file.pixels for file in files if file.pixels is not None])
        return list(zip(raw, calibrated, strict=True))

    def _probabilities(self, pixels: Sequence[NDArray[np.uint8]]) -> tuple[FloatArray, FloatArray]:
        """Raw and calibrated, ``(B, C)``; NaN where the model was not trained, or carries no calibration."""
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


def load_model(
    path: str | Path,
    *,
    operating_point: str | None = None,
    device: str | None = None,
    precision: Precision = "float32",
    threads: int | None = None,
) -> Predictor:
    """A trained model from its file: a checkpoint, an exported model, or weights in another format.

    An ONNX file is run without torch, and a checkpoint without Lightning.

    Args:
        path: The model file, such as ``best.ckpt``, ``model.onnx`` or a Keras ``.h5`` file; ``latest`` is the newest
            best checkpoint below the log folder.
        operating_point: See :class:`Predictor`.
        device: Device name, such as ``cpu``, ``cuda`` or ``cuda:1``; by default a GPU if there is one.
        precision: ``bf16`` multiplies in bfloat16, which is faster where the device has it, and less exact; not of an
            ONNX file.
        threads: Number of threads that decode images and compute on the processor; by default one per usable core.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no model file, lacks required metadata, or there is no such device or precision.
    """
    refuse_url(path, "a local checkpoint")
    computation = Computation(device, check_choice("precision", precision, Precision), threads)
    backend = load_backend(model_file(path), computation)
    return Predictor(backend, operating_point, threads=computation.num_threads)
