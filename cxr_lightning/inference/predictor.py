"""A trained model that predicts images."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.imaging.image_sources import check_source, is_source
from cxr_lightning.inference.backend import Backend, Computation, Precision, load_backend
from cxr_lightning.inference.decoded_inputs import DecodedInput, InputDecoder
from cxr_lightning.inference.devices import MAX_BATCH_SIZE
from cxr_lightning.inference.named_sources import NamedSource, several_sources
from cxr_lightning.inference.pipeline import Pipeline
from cxr_lightning.inference.probability_rows import ProbabilityRow, compute_rows, judge_row
from cxr_lightning.inference.result_overlays import Overlays, check_findings, explain_result
from cxr_lightning.inference.results import Result, Results
from cxr_lightning.models.postprocess import PostProcessing, read_postprocessing
from cxr_lightning.utils.latest_model import model_file
from cxr_lightning.utils.paths import refuse_url
from cxr_lightning.utils.validation import check_choice, check_positive

if TYPE_CHECKING:  # torch is needed for a checkpoint only
    from cxr_lightning.imaging.image_sources import ImageSource
    from cxr_lightning.models.classifier import ChestXRayClassifier
    from cxr_lightning.models.trained_model import TrainedModel

_AS_CLASSIFIER = "cxr_lightning.checkpoints.load:as_classifier"
ResultWithPixels = tuple[Result, NDArray[np.uint8] | None]
"""A result, and the network's input, ``(S, S)`` uint8; None for a rejected image."""


class Predictor:
    """A trained model for images; not for clinical use.

    Args:
        backend: Computes the probabilities.
        operating_point: Name of a stored operating point, such as ``youden``, from whose threshold on findings are
            predicted; by default ``youden``, or else the first that is stored.
        threads: Number of threads that decode images; by default one per usable core.

    Attributes:
        backend: Computes the probabilities.
        threads: Number of threads that decode images.
        postprocessing: Calibration and operating points that the file carries; None if it carries none.
        operating_point: Name of the operating point that is used; empty if there is none.

    Raises:
        ValueError: If the operating point is not stored.
    """

    def __init__(self, backend: Backend, operating_point: str | None = None, *, threads: int | None = None) -> None:
        self.backend = backend
        self.threads = Computation(threads=threads).num_threads
        stored = backend.metadata.get("fitted")
        self.postprocessing: PostProcessing | None = None if stored is None else read_postprocessing(stored)
        known = self.postprocessing.operating_points if self.postprocessing else []
        if operating_point is not None and operating_point not in known:
            raise ValueError(
                f"Expected an operating point that the model carries, {known or 'none'}, but got '{operating_point}'. "
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
        results = self.predict_with_pixels(several_sources(images), force=force, value_range=value_range, alone=alone)
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
        labels = labels if labels is None or isinstance(labels, str) else list(labels)
        check_findings(labels, self.labels, self.backend.metadata)
        self.backend.check_heatmaps()
        check_source(image, "image 1")
        ((result, pixels),) = self.predict_with_pixels([image], force=force, value_range=value_range, alone=True)
        if pixels is None:
            flag = result.flags[0]
            raise ValueError(f"Expected an image in '{result.name}' but {flag.message}")
        return explain_result(self.backend, replace(result, image=pixels), labels)

    def predict_each(
        self,
        images: "ImageSource | Iterable[ImageSource]",
        *,
        value_range: Sequence[float] | None = None,
        force: bool = False,
        batch_size: int | None = None,
    ) -> Iterator[Result]:
        """Like :meth:`predict`, a result at a time; what is in memory does not depend on the number of images.

        Args:
            images: One or several; some are read ahead of the results, as many as threads and batches hold.
            value_range: As in :meth:`predict`.
            force: As in :meth:`predict`.
            batch_size: Number of images that are computed at once; None for one that suits the device.
        """
        several = several_sources(images)
        results = self.predict_with_pixels(several, force=force, value_range=value_range, batch_size=batch_size)
        return (result for result, _ in results)

    def predict_with_pixels(
        self,
        images: "Iterable[ImageSource]",
        *,
        value_range: Sequence[float] | None = None,
        force: bool = False,
        alone: bool = False,
        batch_size: int | None = None,
    ) -> Iterator[ResultWithPixels]:
        """Like :meth:`predict_each`, with the network's input, ``(S, S)`` uint8; None for a rejected image."""
        if batch_size is not None:
            check_positive("batch_size", batch_size, maximum=MAX_BATCH_SIZE)
        decoder = InputDecoder(self.backend.image_size, self.backend.interpolation, value_range, force, alone)
        with self.backend.divided_cores() as start_thread:
            pipeline: Pipeline[NamedSource, DecodedInput, ProbabilityRow] = Pipeline(
                decoder.decode,
                lambda one: one.rejection is None,
                lambda inputs: compute_rows(self.backend, self.postprocessing, [one.usable_pixels for one in inputs]),
                batch_size=batch_size or self.backend.batch_size,
                threads=self.threads,
                concurrency=self.backend.concurrency,
                start_thread=start_thread,
            )
            with closing(pipeline.run(decoder.take(images))) as results:
                for one, row in results:
                    yield self._result(one, row), one.pixels

    def _result(self, one: DecodedInput, row: ProbabilityRow | None) -> Result:
        if one.rejection is not None:
            return Result.of_rejection(one.path, one.rejection, one.name)
        assert row is not None
        point, metadata = self.operating_point, self.backend.metadata
        findings = judge_row(row, self.labels, metadata, self.postprocessing, point)
        return Result(one.path, one.flags, findings, name=one.name, operating_point=point, synthetic=self.synthetic)


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
