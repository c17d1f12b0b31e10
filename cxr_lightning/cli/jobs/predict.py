"""The job of cxr predict."""

import argparse
import csv
import os
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from cxr_lightning.explain.grad_cam import GradCam
from cxr_lightning.explain.heatmaps import explain_image
from cxr_lightning.inference.image_files import absolute_path
from cxr_lightning.inference.predictor import Predictor, load_model
from cxr_lightning.inference.results import Result
from cxr_lightning.inference.results_folder import ResultsFolder, result_line, results_header, results_row
from cxr_lightning.report.captions import heatmap_file_name
from cxr_lightning.report.prediction_tables import finding_table, overview_table
from cxr_lightning.report.report_folder import write_overlay
from cxr_lightning.report.wording import model_title
from cxr_lightning.utils.io import file_sha256
from cxr_lightning.utils.progress import progress_bar
from cxr_lightning.utils.versions import versions

_EXIT_REJECTED = 3
"""Exit code where a file was rejected."""
_MAX_DETAILED_IMAGES, _MAX_OVERVIEW_LINES = 3, 40
"""Maximum number of images whose findings are all shown, and of lines in the overview of more images."""
_MAX_HEATMAPS = 3
"""Maximum number of heat maps per image."""
_MAX_STEM_LENGTH = 40
"""Maximum number of characters of an image's name in the names of its heat maps."""


def predict(parsed: argparse.Namespace) -> int:
    """Predict the files, print the results, and write them to a folder if requested."""
    paths: list[Path] = parsed.images
    model = load_model(parsed.model, operating_point=parsed.operating_point, device=parsed.device)
    if parsed.out is None:
        return _predict(parsed, model, paths, None)
    heatmaps = parsed.out / "heatmaps"
    if parsed.gradcam:
        GradCam(model.classifier.network)  # refuses a network without a target layer before anything is predicted

    def is_finished(result: Result) -> bool:
        files = [heatmaps / name for name in _heatmap_names(result).values()] if parsed.gradcam else []
        return not result.rejected and all(file.is_file() for file in files)

    paths = [
        path for path in paths if not absolute_path(path).is_relative_to(absolute_path(heatmaps))
    ]  # heat maps of an earlier run
    with ResultsFolder(parsed.out, _describe_run(parsed, model), resume=parsed.resume, finished=is_finished) as folder:
        remaining = [path for path in paths if absolute_path(path) not in folder.done]
        if len(remaining) < len(paths):
            print(f"{len(paths) - len(remaining):,} of {len(paths):,} files are done already", file=sys.stderr)
        code = _predict(parsed, model, remaining, folder)
    print(f"results: {parsed.out}", file=sys.stderr)
    return code


def _predict(parsed: argparse.Namespace, model: Predictor, paths: list[Path], folder: ResultsFolder | None) -> int:
    shown: list[Result] = []
    counts = {"ok": 0, "warning": 0, "rejected": 0}
    failures = 0
    table = csv.writer(sys.stdout, lineterminator="\n")
    if parsed.csv:
        table.writerow(results_header(model.labels))
    with progress_bar("predicting", len(paths), shown=len(paths) > parsed.batch_size) as advance:
        for result, pixels in model.predict_with_pixels(paths, force=parsed.force, batch_size=parsed.batch_size):
            counts[result.status] += 1
            if folder is not None:
                folder.add(result)
            if parsed.json:
                sys.stdout.write(result_line(result))
            elif parsed.csv:
                table.writerow(results_row(result))
            elif len(shown) < _MAX_OVERVIEW_LINES:
                shown.append(result)
            for flag in result.flags:
                print(f"{result.status}: {result.path}: {flag.message} [{flag.code}]", file=sys.stderr)
            if parsed.gradcam and pixels is not None:
                failures += not _try_to_draw(parsed.out / "heatmaps", model, result, pixels)
            advance()
    if not parsed.csv and not parsed.json:
        _print_tables(shown, len(paths), model)
    print(", ".join(f"{number:,} {status}" for status, number in counts.items()), file=sys.stderr)
    if failures:
        raise ValueError(
            f"Expected heat maps of all images but {failures:,} could not be drawn, for the reasons above."
        )
    return _EXIT_REJECTED if counts["rejected"] else 0


def _describe_run(parsed: argparse.Namespace, model: Predictor) -> dict[str, Any]:
    """Provenance of a folder's results: the model and the settings."""
    return {
        "not_for_clinical_use": True,
        "model": Path(parsed.model).name,
        "sha256": file_sha256(Path(parsed.model)),
        "trained_on_synthetic_data": model.synthetic,
        "labels": list(model.labels),
        "operating_point": model.operating_point,
        "force": parsed.force,
        "working_directory": str(Path.cwd()),
        "versions": versions(),
    }


def _try_to_draw(folder: Path, model: Predictor, result: Result, pixels: NDArray[np.uint8]) -> bool:
    try:
        _draw(folder, model, result, pixels)
    except (ValueError, OSError, MemoryError, RuntimeError) as error:  # the last is torch's, also without memory
        print(f"no heat map: {result.path}: {error}", file=sys.stderr)
        return False
    return True


def _draw(folder: Path, model: Predictor, result: Result, pixels: NDArray[np.uint8]) -> None:
    folder.mkdir(exist_ok=True)
    title = model_title(model.synthetic)
    names = _heatmap_names(result)
    overlays = explain_image(model.classifier.network, model.labels, result.path.name, pixels, list(names))
    for overlay, name in zip(overlays, names.values(), strict=True):
        write_overlay(overlay, folder / name, title)


def _heatmap_names(result: Result) -> dict[str, str]:
    """File names of heat maps by finding: those that reach their operating points, or the most probable one."""
    highest = sorted(result.findings, key=lambda finding: -finding.probability)[:1]
    labels = [finding.label for finding in (result.above or highest)[:_MAX_HEATMAPS]]
    # Files with the same name in two folders are different images.
    name = f"{result.path.stem[:_MAX_STEM_LENGTH]}-{sha256(os.fsencode(result.path)).hexdigest()[:8]}"
    return {label: heatmap_file_name(name, label) for label in labels}


def _print_tables(results: list[Result], total: int, model: Predictor) -> None:
    console = Console()
    if model.synthetic:
        console.print("SYNTHETIC DATA: the model was trained on synthetic images", style="bold")
    if total > _MAX_DETAILED_IMAGES:
        console.print(overview_table(results, total))
        return
    for result in results:
        if not result.rejected:
            console.print(finding_table(result, model.operating_point))
