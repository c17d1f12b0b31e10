"""Measure how often images get quality flags: unchanged real ones, and ones corrupted in ways that users meet.

python -m benchmarks.input_warnings ../shared/data/nih-sample/images
"""

import argparse
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table

from cxr_lightning.imaging.decoded_image import QualityFlag
from cxr_lightning.imaging.quality_flags import find_quality_flags
from cxr_lightning.imaging.reader import decode_image, read_image

GrayImage = NDArray[np.uint8]


def sepia(pixels: GrayImage) -> Image.Image:
    """Simulate a photograph of a film print in warm light."""
    light = np.array([1.0, 0.85, 0.65])
    return Image.fromarray((pixels[..., None] * light).astype(np.uint8))


def light_box(pixels: GrayImage) -> Image.Image:
    """Simulate a photograph of the film on a bluish light box, with a colored frame around it."""
    height, width = pixels.shape
    photograph = np.full((height + 200, width + 200, 3), (120, 90, 60), np.uint8)
    photograph[100:-100, 100:-100] = (pixels[..., None] * np.array([0.8, 0.9, 1.0])).astype(np.uint8)
    return Image.fromarray(photograph)


def multiplied(factor: float) -> Callable[[GrayImage], Image.Image]:
    """Multiply the values and clip them, as of a detector or a program at its limit."""
    return lambda pixels: Image.fromarray((pixels.astype(np.float64) * factor).clip(0, 255).astype(np.uint8))


def narrow_window(fraction: float) -> Callable[[GrayImage], Image.Image]:
    """Display a film's middle values alone, and clip the fraction of them at either end."""

    def apply(pixels: GrayImage) -> Image.Image:
        low, high = np.quantile(pixels, [fraction, 1 - fraction])
        return Image.fromarray(((pixels - low) * (255 / max(1.0, high - low))).clip(0, 255).astype(np.uint8))

    return apply


def as_jpeg(pixels: GrayImage) -> Image.Image:
    """Multiply the values by two and clip them, then compress the film with losses."""
    file = BytesIO()
    multiplied(2)(pixels).save(file, "JPEG", quality=75)
    return Image.open(file)


CORRUPTIONS: dict[str, tuple[Callable[[GrayImage], Image.Image], set[str]]] = {
    "inverted": (lambda pixels: Image.fromarray(255 - pixels), {"inverted"}),
    "blank": (lambda pixels: Image.fromarray(np.full_like(pixels, int(pixels.mean()))), {"nearly_blank"}),
    "blank, with noise": (
        lambda pixels: Image.fromarray(np.random.default_rng(0).normal(128, 2, pixels.shape).astype(np.uint8)),
        {"nearly_blank"},
    ),
    "0 to 1, cut": (lambda pixels: Image.fromarray((pixels / 255).astype(np.uint8)), {"scaled_to_1"}),
    "0 to 1, rounded": (lambda pixels: Image.fromarray((pixels / 255).round().astype(np.uint8)), {"scaled_to_1"}),
    "photograph, sepia": (sepia, {"colour"}),
    "photograph, light box": (light_box, {"colour"}),
    "contrast of a tenth": (lambda pixels: Image.fromarray((pixels // 10 + 100).astype(np.uint8)), {"low_contrast"}),
    "turned by 90 degrees": (lambda pixels: Image.fromarray(np.rot90(pixels)), {"unlike_chest", "inverted"}),
    "upside down": (lambda pixels: Image.fromarray(pixels[::-1]), {"unlike_chest", "inverted"}),
    "saturated: values doubled": (multiplied(2), {"saturated"}),
    "saturated: values doubled, JPEG": (as_jpeg, {"saturated"}),
    "saturated: values by 1.5": (multiplied(1.5), {"saturated"}),
    "saturated: window of half the values": (narrow_window(0.25), {"saturated"}),
    "saturated: window of 80 % of the values": (narrow_window(0.1), {"saturated"}),
    "saturated: lowest 100 levels cut": (
        lambda pixels: Image.fromarray((pixels.astype(int) - 100).clip(0, 255).astype(np.uint8)),
        {"saturated"},
    ),
    "96 pixels": (lambda pixels: Image.fromarray(pixels).resize((96, 96)), {"tiny"}),
    "upper half": (lambda pixels: Image.fromarray(pixels[: len(pixels) // 2]), {"cropped"}),
}
"""Corruption of an image by name, and the codes of which at least one is expected."""


def flags_of(image: Image.Image, image_size: int) -> list[QualityFlag]:
    """List the quality flags of an image that is stored as a PNG."""
    file = BytesIO()
    image.save(file, "PNG")
    return find_quality_flags(decode_image(file.getvalue(), "image"), image_size)


def main() -> None:
    """Print the rates of flagged images."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--wrong", type=int, default=50, help="images that are made wrong (default: %(default)s)")
    parsed = parser.parse_args()
    paths = sorted(parsed.folder.glob("*.png"))
    pictures = {path: read_image(path) for path in paths}
    flagged = {
        path: found for path, picture in pictures.items() if (found := find_quality_flags(picture, parsed.image_size))
    }
    table = Table("images", "number", "remarked upon")
    table.add_row("as they are", str(len(paths)), f"{len(flagged) / len(paths):.1%}")
    step = max(1, len(paths) // parsed.wrong)
    chosen = [pictures[path].pixels for path in paths[::step][: parsed.wrong]]
    for name, (corrupt, codes) in CORRUPTIONS.items():
        caught = sum(
            any(remark.code in codes for remark in flags_of(corrupt(pixels), parsed.image_size)) for pixels in chosen
        )
        table.add_row(name, str(len(chosen)), f"{caught / len(chosen):.0%}")
    console = Console()
    console.print(table)
    for path, found in flagged.items():
        console.print(f"{path.name}: {'; '.join(remark.message for remark in found)}", highlight=False)


if __name__ == "__main__":
    main()
