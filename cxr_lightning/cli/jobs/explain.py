"""The job of cxr explain."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from pkgutil import resolve_name

from cxr_lightning.cli.jobs.heatmap_files import write_heatmap, write_heatmap_row
from cxr_lightning.inference.predictor import Predictor, load_model
from cxr_lightning.inference.result_overlays import check_findings, explain_result
from cxr_lightning.inference.results import Result
from cxr_lightning.metrics.ranking import top_labels
from cxr_lightning.models.setting_rules import TargetLayer
from cxr_lightning.report.captions import heatmap_file_names, heatmap_row_file_name
from cxr_lightning.utils.notices import model_title
from cxr_lightning.utils.paths import file_problem
from cxr_lightning.utils.terminal import say, say_error

_IS_FOREIGN = "cxr_lightning.checkpoints.foreign.reader:is_foreign_file"
"""Imports torch, which an ONNX file does not need."""


def explain_images(
    images: Sequence[Path],
    model_file: str,
    *,
    labels: Sequence[str] | None,
    top: int,
    target_layer: TargetLayer,
    force: bool = False,
    out: Path,
) -> None:
    """Draw the heat maps of every image, each alone and all in one row, and print the names of the files.

    Args:
        images: Image files.
        model_file: A checkpoint, or an ONNX file with class-activation maps.
        labels: Findings to draw; None for those with the highest validation AUROC.
        top: Number of findings with the highest validation AUROC.
        target_layer: Layer of the heat maps.
        force: Decode DICOM files although their headers state that they are no chest radiographs.
        out: Folder to write; made if missing.

    Raises:
        FileNotFoundError: If an image does not exist.
        ValueError: If the model has no such heat maps, a label is not among its labels or was not trained, an image
            cannot be used, or an output file exists.
    """
    if Path(model_file).suffix.lower() != ".onnx" and resolve_name(_IS_FOREIGN)(model_file):
        raise ValueError(f"Expected a checkpoint as --model but got '{model_file}'. First: cxr convert.")
    model = load_model(model_file)
    model.backend.check_heatmaps(target_layer)
    check_findings(labels, model.labels, model.backend.metadata)
    labels = labels or _best_labels(model.backend.val_auroc_by_label, top, model_file)
    names = {image: heatmap_file_names(image.stem, [*model.labels, *labels]) for image in images}
    paths = {image: [out / names[image][label] for label in labels] for image in images}
    rows = {image: out / heatmap_row_file_name(image.stem) for image in images}
    _check_files({image: [*paths[image], rows[image]] for image in images})
    title = model_title(model.synthetic)
    for image, files in paths.items():
        overlays = explain_result(model.backend, _usable_result(model, image, force), labels, target_layer)
        out.mkdir(parents=True, exist_ok=True)
        for path, overlay in zip(files, overlays, strict=True):
            write_heatmap(overlay, path, title)
            say(path)
        write_heatmap_row(overlays, rows[image], title)
        say(rows[image])


def _usable_result(model: Predictor, image: Path, force: bool) -> Result:
    (result,) = model.predict(image, force=force)
    if result.rejected:
        raise ValueError(f"Expected an image in '{image}' but {result.flags[0].message}")
    for flag in result.flags:
        say_error(f"warning: {image}: {flag.message} [{flag.code}]")
    return result


def _check_files(paths: Mapping[Path, list[Path]]) -> None:
    """Refuse images that do not exist, and output files that exist or share a name."""
    files = [path for image_paths in paths.values() for path in image_paths]
    counts = Counter(str(path).casefold() for path in files)  # some file systems ignore case
    if conflicts := [path for path in files if path.exists() or counts[str(path).casefold()] > 1]:
        raise ValueError(
            f"Expected new files of different names but '{conflicts[0]}' exists already or would be written twice. "
            "Name another folder with --out, and give images of one name one by one."
        )
    if absent := [image for image in paths if file_problem(image)]:
        raise FileNotFoundError(
            f"Expected image files but {len(absent)} of {len(paths)} are none, first '{absent[0]}': "
            f"{file_problem(absent[0])}. Check the paths."
        )


def _best_labels(auroc: Mapping[str, float], top: int, path: str) -> tuple[str, ...]:
    """The findings with the highest validation AUROC in a checkpoint."""
    best = top_labels(auroc, top)
    if not best:
        raise ValueError(
            f"Expected a validation AUROC in '{path}' to choose findings by but it has none. Name them with --labels."
        )
    say(f"findings with the highest validation AUROC: {', '.join(f'{label} ({auroc[label]:.3f})' for label in best)}")
    return best
