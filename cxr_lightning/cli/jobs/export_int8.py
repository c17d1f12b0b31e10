"""The job of cxr export --int8: quantize a model, and write it only if it loses little on labeled images."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxr_lightning.checkpoints.export import export_classifier
from cxr_lightning.checkpoints.onnx import check_onnx_installed
from cxr_lightning.checkpoints.quantization import QUANTIZATION_METHOD, add_quantization_record, quantize_onnx
from cxr_lightning.data.labeled_set import LabeledSet, read_labeled_set
from cxr_lightning.data.manifest import names_sha256, target_array
from cxr_lightning.evaluation.quantization import check_max_loss, check_quantization, refuse_few_labels
from cxr_lightning.imaging.reader import read_image, resize
from cxr_lightning.inference.backend import Computation
from cxr_lightning.inference.onnx_backend import OnnxBackend
from cxr_lightning.inference.pipeline import Pipeline
from cxr_lightning.inference.predictions import Predictions, predictions_of
from cxr_lightning.models.trained_model import TrainedModel
from cxr_lightning.models.untrained import untrained_columns, without_untrained
from cxr_lightning.report.quantization import (
    describe_excess_losses,
    describe_probability_change,
    quantization_losses,
    quantization_table,
)
from cxr_lightning.utils.io import atomic_path
from cxr_lightning.utils.progress import progress_bar
from cxr_lightning.utils.subprocesses import usable_cores
from cxr_lightning.utils.terminal import say
from cxr_lightning.utils.text_tables import show_table

_PROCESSOR = Computation("cpu")  # for which files in int8 are made
_Pixels = NDArray[np.uint8]
_Rows = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Raw probabilities of an image by both files, each ``(C,)``."""


def export_quantized(
    model: TrainedModel,
    out: Path,
    check_on: Path,
    *,
    layout: str | None = None,
    columns: Mapping[str, str] | None = None,
    max_loss: float = 0.002,
) -> None:
    """Write a model as ONNX in int8, and print what it loses; a model that loses more than is accepted is not written.

    Args:
        model: A trained model.
        out: File to write; must not exist.
        check_on: Folder or CSV of labeled images, as :func:`~cxr_lightning.data.labeled_set.read_labeled_set` takes it.
        layout: Layout of that folder.
        columns: Columns of that CSV, by their options.
        max_loss: Accepted loss of a finding's AUROC.

    Raises:
        FileNotFoundError: If the labeled images are not there.
        ValueError: If the model loses more, cannot be quantized, or the labeled images cannot be used.
        ImportError: If the extra onnx is missing.
    """
    check_max_loss(max_loss)
    if out.exists():
        raise ValueError(f"Expected a new file but '{out}' exists already. Choose another name.")
    check_onnx_installed()
    labeled = read_labeled_set(
        check_on, model.labels, layout=layout, columns=columns, trained_on=model.metadata.get("data")
    )
    _refuse_few(model, labeled, check_on)
    say(f"ranges of activations from {len(labeled.calibration):,} images that are not checked")
    say(f"AUROC on {len(labeled.checked):,} images: {labeled.selection}")
    for note in labeled.notes:
        say(f"  {note}")
    with TemporaryDirectory() as folder:
        exact, quantized = Path(folder) / "float32.onnx", Path(folder) / "int8.onnx"
        for compared, difference in export_classifier(model, exact).items():
            say(f"{compared} {difference:.1e}")
        backend = OnnxBackend(exact, _PROCESSOR)
        convolutions = quantize_onnx(
            exact, quantized, np.stack([_read(backend, path) for path in labeled.calibration["path"]])
        )
        predictions = _predict(backend, OnnxBackend(quantized, _PROCESSOR), labeled.checked)
        check = check_quantization(*predictions, max_loss=max_loss)
        show_table(quantization_table(check, labeled.selection))
        say(describe_probability_change(check))
        if refused := describe_excess_losses(check):
            raise ValueError(
                f"Expected int8 to lose little AUROC on '{check_on}' but {refused}. Nothing is written. "
                "Leave --int8 out, or accept more by --max-loss; more images make the loss better known."
            )
        record = {**_record(labeled, convolutions), **quantization_losses(check)}
        out.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(out) as temporary:
            add_quantization_record(quantized, temporary, record)
            OnnxBackend(temporary, _PROCESSOR)  # refuses what `cxr predict` would refuse
    say(f"wrote {out}")


def _refuse_few(model: TrainedModel, labeled: LabeledSet, check_on: Path) -> None:
    untrained = untrained_columns(model.labels, model.metadata)
    trained = [label for column, label in enumerate(model.labels) if column not in untrained]
    refuse_few_labels(target_array(labeled.checked, trained).astype(np.float64), trained, check_on)


def _read(backend: OnnxBackend, path: str) -> _Pixels:
    return resize(read_image(Path(path)).pixels, backend.image_size, backend.interpolation)


def _predict(exact: OnnxBackend, quantized: OnnxBackend, table: pd.DataFrame) -> tuple[Predictions, Predictions]:
    """Predictions of both files; each image is decoded once."""

    def compute(images: Sequence[_Pixels]) -> list[_Rows]:
        batch = np.stack(images)
        return list(zip(exact.probabilities(batch)[0], quantized.probabilities(batch)[0], strict=True))

    pipeline: Pipeline[str, _Pixels, _Rows] = Pipeline(
        lambda path: _read(exact, path),
        lambda _: True,
        compute,
        batch_size=exact.batch_size,
        threads=usable_cores(),
        concurrency=exact.concurrency,
    )
    rows: list[_Rows] = []
    with progress_bar("checking", len(table)) as advance, closing(pipeline.run(table["path"])) as results:
        for _, row in results:
            assert row is not None
            rows.append(row)
            advance()
    untrained = untrained_columns(exact.labels, exact.metadata)
    float32, int8 = (without_untrained(np.stack(values), untrained) for values in zip(*rows, strict=True))
    return predictions_of(table, exact.labels, float32), predictions_of(table, exact.labels, int8)


def _record(labeled: LabeledSet, convolutions: int) -> dict[str, Any]:
    """How the file was quantized, and on which images it was checked."""
    manifest, checked = labeled.manifest, labeled.checked
    return {
        "method": QUANTIZATION_METHOD,
        "convolutions": convolutions,
        "versions": {name: version(name) for name in ("onnx", "onnxruntime")},
        "calibration_images": len(labeled.calibration),
        "checked": {
            "source": manifest.source,
            "synthetic": manifest.synthetic,
            "files": dict(manifest.files),
            "selection": labeled.selection,
            "images": len(checked),
            "patients": int(checked["patient_id"].nunique()),
            "sha256": names_sha256(checked["image_id"]),
        },
    }
