"""The verb ``prepare``."""

import time
from pathlib import Path
from pkgutil import resolve_name
from typing import Annotated, Literal

import typer

from cxr_lightning.cli.arguments import PathArgument, PathOption
from cxr_lightning.utils.terminal import say


def prepare(
    root: Annotated[Path, PathArgument(metavar="FOLDER", help="the data set's folder, as data.root")],
    layout: Annotated[
        str, typer.Option(metavar="NAME", help="of that folder: nih, walkthrough, csv, or a class of a trusted package")
    ] = "nih",
    file: Annotated[str | None, typer.Option(metavar="CSV", help="with --layout csv  [default: labels.csv]")] = None,
    image_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="with --layout csv  [default: image]")
    ] = None,
    image_size: Annotated[int, typer.Option(help="side in pixels")] = 224,
    interpolation: Annotated[
        Literal["nearest", "bilinear", "bicubic", "lanczos"], typer.Option(help="of the images to that size")
    ] = "bilinear",
    cache_dir: Annotated[Path, PathOption(metavar="FOLDER", help="as paths.cache_dir", envvar="CXR_CACHE_DIR")] = Path(
        "cache"
    ),
    workers: Annotated[int | None, typer.Option(help="processes  [default: one per core]")] = None,
    on_bad_image: Annotated[
        Literal["error", "skip"], typer.Option(help="whether images that cannot be used are an error")
    ] = "error",
    verify: Annotated[bool, typer.Option("--verify", help="compare all prepared images with their checksums")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="take DICOM files that are no chest radiographs by header")
    ] = False,
) -> None:
    """Decode and resize a data set's images once.

    train.py and evaluate.py with the same image size, interpolation and force then find them ready; they do the same
    themselves on first use. An interrupted run is resumed, images whose files have changed are prepared again, images
    that cannot be used are listed in rejected.csv, and those with quality flags in quality_flags.csv. The images
    are divided among processes that torchrun or srun has started.
    """
    if image_size < 1:
        raise ValueError(f"Expected --image-size to be at least 1 but got {image_size}.")
    options = {"file": file, "image_column": image_column}
    given = {name: value for name, value in options.items() if value is not None}
    if given and layout != "csv":
        raise ValueError(f"Expected --layout csv beside --{next(iter(given)).replace('_', '-')}.")
    spec = resolve_name("cxr_lightning.data.cache:CacheSpec")(root, image_size, interpolation, force)
    started = time.perf_counter()
    prepared, missing = resolve_name("cxr_lightning.data.prepare:prepare_listed_images")(
        resolve_name("cxr_lightning.data.datasets.registry:build_layout")(layout, **given),
        spec,
        cache_dir / "images",
        on_bad_image=on_bad_image,
        workers=workers,
        verify=verify,
    )
    if prepared is None:  # the first of several processes tells
        return
    say(f"{len(prepared.rows):,} images of {image_size} px in '{prepared.folder}'")
    say(f"  {prepared.num_decoded:,} prepared now, in {time.perf_counter() - started:.0f} s")
    if missing:
        say(f"  {missing:,} are listed but not on disk")
    if prepared.rejected:
        say(f"  {len(prepared.rejected):,} cannot be used: see rejected.csv there")
    if prepared.flags:
        say(f"  {prepared.describe_flags()}")
