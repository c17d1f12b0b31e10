"""The job of cxr predict."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.cli.jobs.heatmap_files import write_heatmap
from cxr_lightning.inference.backend import Precision
from cxr_lightning.inference.predictor import Predictor, load_model
from cxr_lightning.inference.result_overlays import explain_result, shown_findings
from cxr_lightning.inference.results import Result
from cxr_lightning.inference.results_file import result_line, results_header, results_row
from cxr_lightning.report.captions import heatmap_file_names
from cxr_lightning.utils.csv_files import TableWriter
from cxr_lightning.utils.distributed import global_rank, world_size
from cxr_lightning.utils.io import file_sha256
from cxr_lightning.utils.notices import model_title
from cxr_lightning.utils.output import output_may_end
from cxr_lightning.utils.path_list import PathList
from cxr_lightning.utils.signals import Stopped, raise_if_stopped
from cxr_lightning.utils.terminal import say, say_error
from cxr_lightning.utils.unexpected import message_of
from cxr_lightning.utils.versions import versions
from cxr_lightning.utils.write_errors import FREE_DISK_SPACE, is_disk_full

if TYPE_CHECKING:
    from cxr_lightning.inference.results_folder import ResultsFolder
    from cxr_lightning.inference.sharded_results import ResultsPart

PrintedFormat = Literal["table", "json", "csv"]

_PROGRESS_BAR = "cxr_lightning.utils.progress:progress_bar"
_FINDING_TABLE = "cxr_lightning.report.prediction_tables:finding_table"
_OVERVIEW_TABLE = "cxr_lightning.report.prediction_tables:overview_table"
_SHOW_TABLE = "cxr_lightning.utils.text_tables:show_table"
"""Imported when there is something to show, since they import rich."""
_SHARD_RESULTS = "cxr_lightning.inference.sharded_results:shard_results"
"""Imported for a folder of results alone."""
_EXIT_REJECTED = 3
"""Exit code where a file was rejected."""
_MAX_DETAILED_IMAGES, _MAX_OVERVIEW_LINES = 3, 40
"""Maximum number of images whose findings are all shown, and of lines in the overview of more images."""
_NOT_DRAWN = "heat maps not drawn"
"""Name of a number that processes tell each other."""
_FEW_FILES = 16
"""Number of files up to which no progress is shown."""


def predict_files(
    paths: PathList,
    model_file: str,
    *,
    out: Path | None,
    printed: PrintedFormat,
    gradcam: bool,
    resume: bool,
    force: bool,
    operating_point: str | None,
    batch_size: int | None,
    device: str | None,
    precision: Precision = "float32",
    threads: int | None = None,
) -> int:
    """Predict image files, print the results, and write them to a folder if requested.

    Args:
        paths: The image files: the same list in all processes of the run.
        model_file: A model file of any format.
        out: Folder to write; None to write nothing.
        printed: What is printed of each file.
        gradcam: Whether heat maps are drawn into ``out``.
        resume: Whether files that are done in ``out`` are left out.
        force: Whether DICOM files are predicted that are no chest radiographs by their headers.
        operating_point: Name of a stored operating point; None for the model's default.
        batch_size: Number of images that are predicted at once; None for one that suits the device.
        device: Device name; None for a GPU if there is one.
        precision: Precision of the multiplications.
        threads: Number of threads; None for one per usable core.

    Returns:
        The exit code: 0, or 3 if a file was rejected; of several processes the last one to finish returns it.

    Raises:
        ValueError: If the model or the folder cannot be used, or heat maps could not be drawn.
    """
    model = load_model(model_file, operating_point=operating_point, device=device, precision=precision, threads=threads)
    predict = partial(_predict, model, printed=printed, force=force, batch_size=batch_size)
    if out is None:
        return predict(paths, len(paths)) or 0
    heatmaps = out / "heatmaps"
    if gradcam:
        model.backend.check_heatmaps()  # before anything is predicted

    def is_finished(result: Result) -> bool:
        files = [heatmaps / name for name in _heatmap_names(result, model.labels).values()] if gradcam else []
        return not result.rejected and all(file.is_file() for file in files)

    about = _describe_run(model_file, model, force)
    # Heat maps of an earlier run may be in the folder of the images.
    shard = resolve_name(_SHARD_RESULTS)(
        out, about, paths, resume=resume, finished=is_finished, excluded=heatmaps, heatmaps=gradcam
    )
    with output_may_end("stdout"), shard.results as folder:  # the results are in the folder
        if shard.earlier and global_rank() == 0:
            say_error(f"{shard.earlier:,} of {shard.files:,} files are done already")
        drawn_in = heatmaps if gradcam else None
        code = predict(shard.paths(), shard.total, folder=folder, heatmaps=drawn_in, earlier=shard.earlier)
    if code is None:
        return 0
    say_error(f"results: {out}")
    return code


def _predict(
    model: Predictor,
    paths: Iterable[Path],
    total: int,
    *,
    printed: PrintedFormat,
    force: bool,
    batch_size: int | None,
    folder: "ResultsFolder | ResultsPart | None" = None,
    heatmaps: Path | None = None,
    earlier: int = 0,
) -> int | None:
    """Predict files; returns the exit code of all processes, or None if another one does."""
    shown: list[Result] = []
    counts = {"ok": 0, "warning": 0, "rejected": 0}
    failures = 0
    table, header = TableWriter(sys.stdout), results_header(model.labels)
    if printed == "csv":
        table.writerow(header)
    with ExitStack() as stack:
        if printed == "table" and world_size() == 1:
            stack.callback(lambda: _print_tables(shown, total, model))  # also of what was done before a signal
        stack.enter_context(_end_told(counts, total, earlier, folder))
        results = model.predict_with_pixels(paths, force=force, batch_size=batch_size)
        first = list(islice(results, 1))  # the next ones are computed while the bar is made
        has_bar = total > _FEW_FILES and global_rank() == 0
        advance = stack.enter_context(resolve_name(_PROGRESS_BAR)("predicting", total)) if has_bar else raise_if_stopped
        for result, pixels in chain(first, results):
            if folder is not None:
                folder.add(result)
            counts[result.status] += 1
            if printed == "json":
                sys.stdout.write(result_line(result))
            elif printed == "csv":
                table.writerow(results_row(result, len(header)))
            elif len(shown) < _MAX_OVERVIEW_LINES:
                shown.append(result)
            for flag in result.flags:
                say_error(f"{result.status}: {result.name}: {flag.message} [{flag.code}]")
            if heatmaps is not None and pixels is not None:
                failures += not _try_to_draw(heatmaps, model, result, pixels)
            advance()
        done = {**counts, _NOT_DRAWN: failures}
        sums = done if folder is None else folder.finish(done)
    if sums is None:
        return None
    say_error(", ".join(f"{sums[status]:,} {status}" for status in counts))
    if failures := sums[_NOT_DRAWN]:
        raise ValueError(
            f"Expected heat maps of all images but {failures:,} could not be drawn, for the reasons above. Remove "
            "their causes, then run it again with --resume."
        )
    return _EXIT_REJECTED if sums["rejected"] else 0


@contextmanager
def _end_told(
    counts: Mapping[str, int], total: int, earlier: int, folder: "ResultsFolder | ResultsPart | None"
) -> Iterator[None]:
    """Within the block, a signal or a full disk also tells how many files are done, and how to go on."""

    def describe() -> str:
        if world_size() > 1:
            return f"{sum(counts.values()):,} of {total:,} files of process {global_rank()} are done"
        return f"{earlier + sum(counts.values()):,} of {earlier + total:,} files are done"

    try:
        yield
    except (Stopped, KeyboardInterrupt) as stopped:
        done = describe()
        if folder is None:
            stopped.add_note(f"{done}, and their results are printed; with --out FOLDER it could be resumed")
        else:
            stopped.add_note(f"{done}, and their results are in '{folder.folder}'; go on with --resume")
        raise
    except OSError as error:
        if folder is None or not is_disk_full(error):
            raise
        raise OSError(
            f"Expected to write '{error.filename or folder.folder}' but got: {error.strerror}. {describe()}, and their "
            f"results are kept. {FREE_DISK_SPACE} Then go on with --resume."
        ) from error


def _describe_run(model_file: str, model: Predictor, force: bool) -> dict[str, Any]:
    """Provenance of a folder's results: the model and the settings."""
    return {
        "not_for_clinical_use": True,
        "model": Path(model_file).name,
        "sha256": file_sha256(Path(model_file)),
        "trained_on_synthetic_data": model.synthetic,
        "labels": list(model.labels),
        "operating_point": model.operating_point,
        "precision": model.backend.precision,
        "force": force,
        "working_directory": str(Path.cwd()),
        "versions": versions(),
    }


def _try_to_draw(folder: Path, model: Predictor, result: Result, pixels: NDArray[np.uint8]) -> bool:
    try:
        _draw(folder, model, result, pixels)
    except (ValueError, OSError, MemoryError, RuntimeError) as error:  # the last is torch's, also without memory
        say_error(f"no heat map: {result.name}: {message_of(error)}")
        return False
    return True


def _draw(folder: Path, model: Predictor, result: Result, pixels: NDArray[np.uint8]) -> None:
    folder.mkdir(exist_ok=True)
    title = model_title(model.synthetic)
    names = _heatmap_names(result, model.labels)
    overlays = explain_result(model.backend, replace(result, image=pixels), list(names))
    for overlay, name in zip(overlays, names.values(), strict=True):
        write_heatmap(overlay, folder / name, title)


def _heatmap_names(result: Result, all_labels: Sequence[str]) -> dict[str, str]:
    """File names of heat maps by finding: those that reach their operating points, or the most probable one."""
    # Files with the same name in two folders are different images.
    names = heatmap_file_names(Path(result.name).stem, all_labels, path=result.name)
    return {label: names[label] for label in shown_findings(result)}


def _print_tables(results: list[Result], total: int, model: Predictor) -> None:
    if not results:
        return
    if model.synthetic:
        say("SYNTHETIC DATA: the model was trained on synthetic images")
    show_table = resolve_name(_SHOW_TABLE)
    if total > _MAX_DETAILED_IMAGES:
        show_table(resolve_name(_OVERVIEW_TABLE)(results, total))
        return
    for result in results:
        if not result.rejected:
            show_table(resolve_name(_FINDING_TABLE)(result, model.operating_point))
