"""cxr predict: what a model says of image files."""

import argparse
import csv
import os
import sys
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cxr_lightning.inference.predictor import Model
    from cxr_lightning.inference.results import Result
    from cxr_lightning.inference.results_folder import ResultsFolder

REJECTED = 3
"""The exit code where a file was rejected."""
_WHOLE, _LINES = 3, 40
"""Images of which all findings are shown, and lines of the overview of more."""
_MAPS = 3
"""Heat maps per image at most."""
_STEM = 40
"""Letters of an image's name that are in those of its heat maps."""


def add(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb."""
    verb = verbs.add_parser(
        "predict",
        help="what a model says of image files",
        description="Probabilities of findings in chest radiographs. Suspicious images (nearly blank, likely inverted, "
        "colour, low contrast, tiny, cropped, lateral) are marked; files that are no usable image are rejected. "
        f"The exit code is {REJECTED} if a file was rejected. Not for clinical use.",
    )
    verb.add_argument("paths", nargs="+", metavar="PATH", help="files, folders, or patterns in quotes; DICOM too")
    verb.add_argument("--model", required=True, metavar="FILE", help="a checkpoint, or weights in another format")
    verb.add_argument("--out", type=Path, metavar="FOLDER", help="write results.jsonl and results.csv there")
    printed = verb.add_mutually_exclusive_group()
    printed.add_argument("--json", action="store_true", help="print a JSON object per file instead of a table")
    printed.add_argument("--csv", action="store_true", help="print CSV instead of a table")
    verb.add_argument("--gradcam", action="store_true", help="draw heat maps into FOLDER/heatmaps")
    verb.add_argument("--resume", action="store_true", help="go on in FOLDER, leaving out files that are done")
    verb.add_argument("--force", action="store_true", help="take DICOM files that are no chest radiographs by header")
    verb.add_argument("--operating-point", metavar="NAME", help="a stored one (default: youden, or the first)")
    verb.add_argument("--batch-size", type=int, default=16, metavar="N", help="(default: %(default)s)")
    verb.add_argument("--device", metavar="NAME", help="cpu, cuda or mps (default: cuda if there is one)")
    verb.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """Do it."""
    for option in ("gradcam", "resume"):
        if getattr(parsed, option) and parsed.out is None:
            raise ValueError(f"Expected --out FOLDER beside --{option} but got none.")
    if parsed.batch_size < 1:
        raise ValueError(f"Expected --batch-size to be at least 1 but got {parsed.batch_size}.")
    from cxr_lightning.inference.image_files import absolute, find_images

    paths = find_images(parsed.paths)
    from cxr_lightning.inference.predictor import load_model

    model = load_model(parsed.model, operating_point=parsed.operating_point, device=parsed.device)
    if parsed.out is None:
        return _predict(parsed, model, paths, None)
    from cxr_lightning.inference.results_folder import ResultsFolder

    heatmaps = parsed.out / "heatmaps"
    if parsed.gradcam:
        _check_heatmaps(model)

    def finished(result: "Result") -> bool:
        drawn = not parsed.gradcam or all((heatmaps / name).is_file() for name in _map_names(result).values())
        return not result.rejected and drawn

    paths = [path for path in paths if not absolute(path).is_relative_to(absolute(heatmaps))]  # of an earlier run
    with ResultsFolder(parsed.out, _about(parsed, model), resume=parsed.resume, finished=finished) as folder:
        left = [path for path in paths if absolute(path) not in folder.done]
        if len(left) < len(paths):
            print(f"{len(paths) - len(left):,} of {len(paths):,} files are done already", file=sys.stderr)
        code = _predict(parsed, model, left, folder)
    print(f"results: {parsed.out}", file=sys.stderr)
    return code


def _predict(parsed: argparse.Namespace, model: "Model", paths: list[Path], folder: "ResultsFolder | None") -> int:
    from cxr_lightning.inference.results_folder import as_line, table_header, table_row
    from cxr_lightning.utils.progress import progress_bar

    shown: list[Result] = []
    counts = {"ok": 0, "warning": 0, "rejected": 0}
    undrawn = 0
    table = csv.writer(sys.stdout, lineterminator="\n")
    if parsed.csv:
        table.writerow(table_header(model.labels))
    with progress_bar("predicting", len(paths), shown=len(paths) > parsed.batch_size) as advance:
        for result, pixels in model.predict_with_pixels(paths, force=parsed.force, batch_size=parsed.batch_size):
            counts[result.status] += 1
            if folder is not None:
                folder.add(result)
            if parsed.json:
                sys.stdout.write(as_line(result))
            elif parsed.csv:
                table.writerow(table_row(result))
            elif len(shown) < _LINES:
                shown.append(result)
            for remark in result.remarks:
                print(f"{result.status}: {result.path}: {remark.message} [{remark.code}]", file=sys.stderr)
            if parsed.gradcam and pixels is not None:
                undrawn += not _drawn(parsed.out / "heatmaps", model, result, pixels)
            advance()
    if not parsed.csv and not parsed.json:
        _show(shown, len(paths), model)
    print(", ".join(f"{number:,} {status}" for status, number in counts.items()), file=sys.stderr)
    if undrawn:
        raise ValueError(f"Expected heat maps of all images but {undrawn:,} could not be drawn, for the reasons above.")
    return REJECTED if counts["rejected"] else 0


def _about(parsed: argparse.Namespace, model: "Model") -> dict[str, Any]:
    """What results of one folder have in common."""
    from cxr_lightning.data.manifest import file_sha256
    from cxr_lightning.utils.versions import versions

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


def _check_heatmaps(model: "Model") -> None:
    """Refuse a network that has no layer for them before anything is predicted."""
    from cxr_lightning.explain.grad_cam import GradCam

    GradCam(model.classifier, "post_relu")


def _drawn(folder: Path, model: "Model", result: "Result", pixels: "NDArray[np.uint8]") -> bool:
    try:
        _draw(folder, model, result, pixels)
    except (ValueError, OSError, MemoryError, RuntimeError) as error:  # the last is torch's, also for want of memory
        print(f"no heat map: {result.path}: {error}", file=sys.stderr)
        return False
    return True


def _draw(folder: Path, model: "Model", result: "Result", pixels: "NDArray[np.uint8]") -> None:
    from cxr_lightning.explain.heatmaps import explain_image
    from cxr_lightning.report.write import write_overlay

    folder.mkdir(exist_ok=True)
    title = "TRAINED ON SYNTHETIC DATA" if model.synthetic else ""
    names = _map_names(result)
    overlays = explain_image(model.classifier, result.path.name, pixels, list(names))
    for overlay, name in zip(overlays, names.values(), strict=True):
        write_overlay(overlay, folder / name, title)


def _map_names(result: "Result") -> dict[str, str]:
    """File names of heat maps, by finding: of those that reach their operating points, or of the most probable one."""
    from cxr_lightning.report.captions import single_name

    highest = sorted(result.findings, key=lambda finding: -finding.probability)[:1]
    labels = [finding.label for finding in (result.above or highest)[:_MAPS]]
    # Files of one name in two folders are different images.
    name = f"{result.path.stem[:_STEM]}-{sha256(os.fsencode(result.path)).hexdigest()[:8]}"
    return {label: single_name(name, label) for label in labels}


def _show(results: "list[Result]", total: int, model: "Model") -> None:
    from rich.console import Console

    from cxr_lightning.report.results_table import finding_table, overview_table

    console = Console()
    if model.synthetic:
        console.print("SYNTHETIC DATA: the model was trained on synthetic images", style="bold")
    if total > _WHOLE:
        console.print(overview_table(results, total))
        return
    for result in results:
        if not result.rejected:
            console.print(finding_table(result, model.operating_point))
