"""Drawing in anatomical coordinates: masks from outlines, strokes and noise.

Coordinates are fractions of the frame: ``x`` runs from -0.5 to 0.5 with the spine at 0, ``y`` from 0 (top) to 1. As is
usual, the image's left shows the patient's right side, so ``side`` is -1 for the right lung and +1 for the left.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

FloatImage = NDArray[np.float32]
"""One number per pixel, ``(S, S)``."""
Points = NDArray[np.float64]
"""Anatomical coordinates, ``(N, 2)``."""
FloatVector = NDArray[np.float64]
"""One number per point or line, ``(N,)``."""
Polylines = Sequence[Points] | Points
"""Several lines or outlines; one array ``(N, K, 2)`` if all have K points."""


@dataclass(frozen=True)
class Pose:
    """Position of the patient before the detector: shift in fractions of the frame, scale, tilt in radians."""

    shift_x: float = 0.0
    shift_y: float = 0.0
    scale: float = 1.0
    tilt: float = 0.0


class Canvas:
    """Square image plane that is drawn on in anatomical coordinates; every drawing is returned as a new array.

    Args:
        size: Height and width in pixels, S.
        pose: Position of the body in the frame.
    """

    def __init__(self, size: int, pose: Pose) -> None:
        self.size = size
        self.pose = pose
        self._oversampling = 2 if size >= 128 else 4
        self.x, self.y = self._pixel_coordinates()

    def _pixel_coordinates(self) -> tuple[FloatImage, FloatImage]:
        centers = ((np.arange(self.size) + 0.5) / self.size - 0.5).astype(np.float32)
        columns = centers[None, :] - np.float32(self.pose.shift_x)
        rows = centers[:, None] - np.float32(self.pose.shift_y)
        cosine, sine = np.float32(np.cos(self.pose.tilt)), np.float32(np.sin(self.pose.tilt))
        scale = np.float32(self.pose.scale)
        x, y = (cosine * columns + sine * rows) / scale, (cosine * rows - sine * columns) / scale + np.float32(0.5)
        return np.asarray(x, dtype=np.float32), np.asarray(y, dtype=np.float32)

    def to_frame(self, points: Points) -> Points:
        """Convert anatomical points to fractions of the frame, ``(N, 2)``."""
        x, y = points[:, 0], points[:, 1] - 0.5
        cosine, sine = np.cos(self.pose.tilt), np.sin(self.pose.tilt)
        columns = self.pose.scale * (cosine * x - sine * y) + self.pose.shift_x + 0.5
        rows = self.pose.scale * (sine * x + cosine * y) + self.pose.shift_y + 0.5
        return np.stack([columns, rows], axis=1)

    def polygon(self, points: Points, blur: float = 0.0) -> FloatImage:
        """Fraction of each pixel inside an outline, softened by ``blur`` (a fraction of the frame)."""
        return self.polygons([points], blur)

    def polygons(self, outlines: Polylines, blur: float = 0.0, levels: Sequence[float] | None = None) -> FloatImage:
        """Draw several filled outlines; where they overlap, the level in [0, 1] of the later one counts."""
        oversampling = 1 if self._blur_pixels(blur) > 2 else self._oversampling
        image = Image.new("L", (self.size * oversampling, self.size * oversampling))
        draw = ImageDraw.Draw(image)
        for index, pixels in enumerate(self._to_oversampled_pixels(outlines, oversampling)):
            draw.polygon(pixels, fill=255 if levels is None else round(255 * levels[index]))
        return self._downsample(image, blur)

    def strokes(
        self, lines: Polylines, width: float | FloatVector, blur: float = 0.0, level: float | FloatVector = 1.0
    ) -> FloatImage:
        """Draw lines; width (a fraction of the frame) and level in [0, 1] are one number each or one per line."""
        oversampled_size = self.size * self._oversampling
        image = Image.new("L", (oversampled_size, oversampled_size))
        draw = ImageDraw.Draw(image)
        thickness = np.broadcast_to(width, len(lines)) * (oversampled_size * self.pose.scale)
        # a line thinner than an oversampled pixel is drawn fainter instead
        fill = np.rint(255 * np.broadcast_to(level, len(lines)) * np.clip(thickness, 0.25, 1.0)).astype(int).tolist()
        pen = np.maximum(np.rint(thickness), 1).astype(int).tolist()
        for pixels, line_fill, line_pen in zip(
            self._to_oversampled_pixels(lines, self._oversampling), fill, pen, strict=True
        ):
            draw.line(pixels, fill=line_fill, width=line_pen)
        return self._downsample(image, blur)

    def ellipse_distance(self, x: float, y: float, radius_x: float, radius_y: float | None = None) -> FloatImage:
        """Squared distance from a center in units of the radii: below 1 inside the ellipse."""
        across = (self.x - np.float32(x)) / np.float32(radius_x)
        down = (self.y - np.float32(y)) / np.float32(radius_x if radius_y is None else radius_y)
        return across * across + down * down

    def noise(self, generator: np.random.Generator, cell: float) -> FloatImage:
        """Smooth noise of mean 0 and deviation near 1, with features of about ``cell`` (a fraction of the frame)."""
        cells = max(2, round(1.0 / cell))
        coarse = Image.fromarray(generator.standard_normal((cells, cells), dtype=np.float32))
        return np.asarray(coarse.resize((self.size, self.size), Image.Resampling.BICUBIC)) * np.float32(1.35)

    def blurred(self, pixels: FloatImage, blur: float) -> FloatImage:
        """Blur an image in [0, 1] by ``blur`` (a fraction of the frame)."""
        image = Image.fromarray((np.clip(pixels, 0, 1) * 255 + 0.5).astype(np.uint8))
        return _to_float_image(self._blur(image, blur))

    def _to_oversampled_pixels(self, lines: Polylines, oversampling: int) -> list[list[float]]:
        """List every line's points as x, y, x, y, ... in oversampled pixels; all are transformed at once for speed."""
        if not len(lines):
            return []
        pixels = (self.to_frame(np.concatenate(lines)) * (self.size * oversampling) - 0.5).ravel().tolist()
        ends = np.cumsum([2 * len(line) for line in lines]).tolist()
        return [pixels[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]

    def _downsample(self, image: Image.Image, blur: float) -> FloatImage:
        """Reduce an oversampled drawing to the canvas's size and blur it."""
        oversampling = image.width // self.size
        if oversampling == 1:
            return _to_float_image(self._blur(image, blur))
        reduced = image.reduce(oversampling)
        if 0.3 <= self._blur_pixels(blur) < 1.3:
            return _smooth_once(_to_float_image(reduced))
        return _to_float_image(self._blur(reduced, blur))

    def _blur_pixels(self, blur: float) -> float:
        return blur * self.size * self.pose.scale

    def _blur(self, image: Image.Image, blur: float) -> Image.Image:
        radius = self._blur_pixels(blur)
        if radius < 0.3:
            return image
        if radius < 2:
            return image.filter(ImageFilter.BoxBlur(radius))  # a third of a Gaussian's cost, and as smooth at this size
        coarse = 2 if radius < 6 else 4
        small = image.reduce(coarse).filter(ImageFilter.GaussianBlur(radius / coarse))
        return small.resize((self.size, self.size), Image.Resampling.BILINEAR)


def _to_float_image(image: Image.Image) -> FloatImage:
    return np.asarray(np.multiply(np.asarray(image), np.float32(1 / 255), dtype=np.float32))


def _smooth_once(pixels: FloatImage) -> FloatImage:
    """Blur with weights 1, 2, 1 across and down: the smallest blur, at a fifth of a filter's cost."""
    rows = pixels.copy()
    rows[1:-1] = np.float32(0.5) * pixels[1:-1] + np.float32(0.25) * (pixels[:-2] + pixels[2:])
    smooth = rows.copy()
    smooth[:, 1:-1] = np.float32(0.5) * rows[:, 1:-1] + np.float32(0.25) * (rows[:, :-2] + rows[:, 2:])
    return smooth


def smooth_curve(points: Sequence[tuple[float, float]], steps: int = 8, closed: bool = False) -> Points:
    """Catmull-Rom curve through the points, ``(N, 2)``.

    References:
        Catmull and Rom, "A class of local interpolating splines", 1974.
    """
    knots = np.asarray(points, dtype=np.float64)
    ends = (knots[-1:], knots[:2]) if closed else (2 * knots[:1] - knots[1:2], 2 * knots[-1:] - knots[-2:-1])
    padded = np.concatenate([ends[0], knots, ends[1]])
    around = np.stack([padded[:-3], padded[1:-2], padded[2:-1], padded[3:]])
    curve = np.einsum("sk,knd->nsd", _catmull_rom_basis(steps), around).reshape(-1, 2)
    return curve if closed else np.concatenate([curve, knots[-1:]])


@lru_cache
def _catmull_rom_basis(steps: int) -> Points:
    """Weights of a point's four neighbors along one span, ``(steps, 4)``."""
    t = np.arange(steps)[:, None] / steps
    powers = np.concatenate([t**0, t, t**2, t**3], axis=1)
    return 0.5 * powers @ np.array([[0, 2, 0, 0], [-1, 0, 1, 0], [2, -5, 4, -1], [-1, 3, -3, 1]], dtype=np.float64)


def ribbon_outline(center: Points, width: float) -> Points:
    """Outline of a ribbon around a center line ``(K, 2)``, or of many at once around ``(N, K, 2)``."""
    direction = np.empty_like(center)
    direction[..., 1:-1, :] = center[..., 2:, :] - center[..., :-2, :]
    direction[..., 0, :] = center[..., 1, :] - center[..., 0, :]
    direction[..., -1, :] = center[..., -1, :] - center[..., -2, :]
    length = np.maximum(np.hypot(direction[..., 0], direction[..., 1]), 1e-9)[..., None]
    offset = direction[..., ::-1] * np.array([-0.5 * width, 0.5 * width]) / length
    return np.concatenate([center + offset, (center - offset)[..., ::-1, :]], axis=-2)


def smoothstep(value: FloatImage, softness: float) -> FloatImage:
    """Map ``value`` to a smooth rise from 0 at ``-softness`` to 1 at ``softness``."""
    t = np.clip(value * np.float32(0.5 / softness) + np.float32(0.5), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), dtype=np.float32)
