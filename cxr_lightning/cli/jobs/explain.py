"""The job of cxr explain."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from cxr_lightning.checkpoints.foreign.reader import is_foreign_file
from cxr_lightning.checkpoints.load import load_classifier
from cxr_lightning.explain.heatmaps import explain_image
from cxr_lightning.imaging.quality_flags import find_quality_flags
from cxr_lightning.imaging.reader import read_image, resize
from cxr_lightning.metrics.ranking import top_labels
from cxr_lightning.models.backbones.base import TargetLayer
from cxr_lightning.models.untrained import untrained_among
from cxr_lightning.report.captions import heatmap_file_names, heatmap_row_file_name
from cxr_lightning.report.report_folder import write_overlay, write_overlay_row
from cxr_lightning.report.wording import model_title
from cxr_lightning.utils.paths import file_problem
from cxr_lightning.utils.terminal import say, say_error


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
        model_file: A checkpoint.
        labels: Findings to draw; None for those with the highest validation AUROC.
        top: Number of findings with the highest validation AUROC.
        target_layer: Layer of the heat maps.
        force: Decode DICOM files although their headers state that they are no chest radiographs.
        out: Folder to write; made if missing.

    Raises:
        FileNotFoundError: If an image does not exist.
        ValueError: If the model is no checkpoint, a label is not among its labels or was not trained, or an output
            file exists.
    """
    if is_foreign_file(model_file):
        raise ValueError(f"Expected a checkpoint as --model but got '{model_file}'. First: cxr convert.")
    model = load_classifier(model_file)
    if untrained := untrained_among(labels or (), model.metadata):
        raise ValueError(
            f"Expected findings that '{model_file}' was trained on but got {untrained}, of which its training images "
            "had no positives or no negatives. Leave them out."
        )
    labels = labels or _best_labels(model.val_auroc_by_label, top, model_file)
    names = {image: heatmap_file_names(image.stem, [*model.labels, *labels]) for image in images}
    paths = {image: [out / names[image][label] for label in labels] for image in images}
    rows = {image: out / heatmap_row_file_name(image.stem) for image in images}
    _check_files({image: [*paths[image], rows[image]] for image in images})
    title = model_title(bool(model.metadata.get("data", {}).get("synthetic")))
    for image, files in paths.items():
        decoded = read_image(image, force=force)
        for flag in find_quality_flags(decoded, model.hparams["image_size"]):
            say_error(f"warning: {image}: {flag.message} [{flag.code}]")
        pixels = resize(decoded.pixels, model.hparams["image_size"], model.hparams["interpolation"])
        overlays = explain_image(model.network, model.labels, image.name, pixels, labels, target_layer)
        out.mkdir(parents=True, exist_ok=True)
        for path, overlay in zip(files, overlays, strict=True):
            write_overlay(overlay, path, title)
            say(path)
        write_overlay_row(overlays, rows[image], title)
        say(rows[image])


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
