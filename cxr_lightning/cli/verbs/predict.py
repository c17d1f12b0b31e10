"""The verb ``predict``."""

from pathlib import Path
from pkgutil import resolve_name
from typing import Annotated, Literal

import typer

from cxr_lightning.cli.arguments import PathOption, refuse_several
from cxr_lightning.cli.model_argument import named_model
from cxr_lightning.inference.devices import MAX_BATCH_SIZE, MAX_THREADS
from cxr_lightning.utils.distributed import global_rank, world_size
from cxr_lightning.utils.terminal import say_error
from cxr_lightning.utils.validation import check_positive


def predict(
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH", help="files, folders, or patterns in quotes; DICOM too")
    ],
    model: Annotated[str, typer.Option(metavar="FILE", help="a checkpoint, ONNX, other weights, or latest")],
    out: Annotated[Path | None, PathOption(metavar="FOLDER", help="write results.jsonl and results.csv there")] = None,
    json: Annotated[bool, typer.Option("--json", help="print a JSON object per file instead of a table")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="print CSV instead of a table")] = False,
    gradcam: Annotated[bool, typer.Option("--gradcam", help="draw heat maps into FOLDER/heatmaps")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="go on in FOLDER, leaving out files that are done")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="take DICOM files that are no chest radiographs by header")
    ] = False,
    operating_point: Annotated[
        str | None, typer.Option(metavar="NAME", help="a stored one  [default: youden, or the first]")
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(metavar="N", help="images computed at once  [default: what suits the device]"),
    ] = None,
    device: Annotated[
        str | None, typer.Option(metavar="NAME", help="cpu, cuda, cuda:N or mps  [default: cuda if there is one]")
    ] = None,
    precision: Annotated[
        Literal["float32", "bf16"], typer.Option(help="bf16 is faster where the device has it, and less exact")
    ] = "float32",
    threads: Annotated[
        int | None, typer.Option(metavar="N", help="threads that decode and compute  [default: one per core]")
    ] = None,
) -> int:
    """Predict the findings in image files.

    Probabilities of findings in chest radiographs. Suspicious images (nearly blank, likely inverted, colored, low
    contrast, saturated, tiny, cropped, lateral, raw) are marked; files that are no usable image are rejected, and other
    files of a folder counted. The exit code is 3 if a file was rejected. With --out, the files are divided among
    processes that torchrun or srun has started. Not for clinical use.
    """
    refuse_several({"--json": json, "--csv": csv})
    for option, given in {"gradcam": gradcam, "resume": resume}.items():
        if given and out is None:
            raise ValueError(f"Expected --out FOLDER with --{option} but it is missing. Add --out FOLDER.")
    if (processes := world_size()) > 1:
        if out is None:
            raise ValueError(f"Expected --out FOLDER with {processes} processes but it is missing. Add --out FOLDER.")
        if json or csv:
            raise ValueError(
                f"Expected one process with --json or --csv but got {processes}. See --out's files instead."
            )
    for option, number, maximum in (("--batch-size", batch_size, MAX_BATCH_SIZE), ("--threads", threads, MAX_THREADS)):
        if number is not None:
            check_positive(option, number, maximum=maximum)
    images, passed_over = resolve_name("cxr_lightning.inference.image_files:find_images")(paths)
    if passed_over and global_rank() == 0:
        say_error(resolve_name("cxr_lightning.inference.image_files:describe_passed_over")(passed_over))
    code: int = resolve_name("cxr_lightning.cli.jobs.predict:predict_files")(
        images,
        named_model(model),
        out=out,
        printed="json" if json else "csv" if csv else "table",
        gradcam=gradcam,
        resume=resume,
        force=force,
        operating_point=operating_point,
        batch_size=batch_size,
        device=device,
        precision=precision,
        threads=threads,
    )
    return code
