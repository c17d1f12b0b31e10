"""Lines, tubes, implants and film markers: more of them in AP views, none related to a finding."""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFont

from cxr_lightning.phantom.anatomy import SIDES
from cxr_lightning.phantom.canvas import Canvas, FloatImage, smooth_curve, smoothstep
from cxr_lightning.phantom.normal_chest import Scene


def paint_devices(scene: Scene, generator: Generator, view: str) -> None:
    """Add each device with its probability in this view."""
    for probability_pa, probability_ap, paint in _DEVICES:
        if generator.random() < (probability_ap if view == "AP" else probability_pa):
            paint(scene, generator)


def _electrodes(scene: Scene, generator: Generator) -> None:
    """ECG electrodes with their leads."""
    lines = []
    for _ in range(int(generator.integers(2, 5))):
        x, y = generator.uniform(-0.33, 0.33), generator.uniform(0.2, 0.72)
        scene.soft_tissue += np.float32(0.22) * smoothstep(1 - scene.canvas.ellipse_distance(x, y, 0.010), 0.2)
        end = (float(np.sign(x)) * 0.45, y + generator.uniform(-0.1, 0.3))
        middle = (0.5 * (x + end[0]), 0.5 * (y + end[1]) + generator.uniform(-0.05, 0.08))
        lines.append(smooth_curve([(x, y), middle, end]))
    scene.soft_tissue += np.float32(0.2) * scene.canvas.strokes(lines, 0.004, 0.0008)


def _central_line(scene: Scene, generator: Generator) -> None:
    """Central venous catheter from the neck or from below the clavicle."""
    side = SIDES[int(generator.integers(2))]
    start = (side * 0.08, -0.05) if generator.random() < 0.5 else (side * 0.33, 0.2)
    curve = smooth_curve(
        [start, (side * 0.10, 0.17), (-0.02, 0.24), (-0.042, 0.32), (-0.045, generator.uniform(0.38, 0.46))]
    )
    scene.soft_tissue += np.float32(0.17) * scene.canvas.strokes([curve], 0.005, 0.0008)


def _endotracheal_tube(scene: Scene, generator: Generator) -> None:
    x, tip = 0.8 * scene.anatomy.heart_shift, generator.uniform(0.24, 0.31)
    walls = [np.array([(x + side * 0.010, -0.05), (x + side * 0.010, tip)]) for side in SIDES]
    scene.soft_tissue += np.float32(0.16) * scene.canvas.strokes(walls, 0.0035, 0.0008)


def _nasogastric_tube(scene: Scene, generator: Generator) -> None:
    below = scene.anatomy.left_dome + 0.10
    curve = smooth_curve(
        [(0.01, -0.05), (0.012, 0.3), (0.02, 0.6), (0.05, below), (0.14, below + generator.uniform(0.0, 0.06))]
    )
    scene.soft_tissue += np.float32(0.15) * scene.canvas.strokes([curve], 0.0055, 0.0008)


def _pacemaker(scene: Scene, generator: Generator) -> None:
    x, y = generator.uniform(0.22, 0.27), generator.uniform(0.20, 0.26)
    across = np.power(np.abs(scene.canvas.x - np.float32(x)) / np.float32(0.045), 3)
    down = np.power(np.abs(scene.canvas.y - np.float32(y)) / np.float32(0.04), 3)
    scene.soft_tissue += np.float32(0.75) * smoothstep(1 - across - down, 0.12)
    lead = smooth_curve([(x, y - 0.03), (0.12, 0.17), (-0.03, 0.25), (-0.05, 0.45), (0.02, 0.62), (0.09, 0.66)])
    scene.soft_tissue += np.float32(0.2) * scene.canvas.strokes([lead], 0.005, 0.0008)


def _sternal_wires(scene: Scene, generator: Generator) -> None:
    rings = []
    for y in np.arange(0.26, 0.62, generator.uniform(0.055, 0.075)):
        angle = np.linspace(0, 2 * np.pi, 14)
        x = 0.02 * scene.anatomy.rotation
        rings.append(np.stack([x + 0.014 * np.cos(angle), y + 0.010 * np.sin(angle)], axis=1))
    scene.soft_tissue += np.float32(0.35) * scene.canvas.strokes(rings, 0.004, 0.0006)


def _necklace(scene: Scene, generator: Generator) -> None:
    depth = generator.uniform(0.10, 0.16)
    curve = smooth_curve([(-0.13, -0.02), (-0.07, 0.7 * depth), (0.0, depth), (0.07, 0.7 * depth), (0.13, -0.02)])
    scene.soft_tissue += np.float32(0.4) * scene.canvas.strokes([curve], 0.004, 0.0006)


_DEVICES: tuple[tuple[float, float, Callable[[Scene, Generator], None]], ...] = (
    (0.04, 0.35, _electrodes),
    (0.04, 0.30, _central_line),
    (0.00, 0.20, _endotracheal_tube),
    (0.01, 0.20, _nasogastric_tube),
    (0.05, 0.06, _pacemaker),
    (0.06, 0.08, _sternal_wires),
    (0.03, 0.00, _necklace),
)


def add_film_markers(gray: FloatImage, canvas: Canvas, generator: Generator, view: str) -> FloatImage:
    """Add the side letter, the view's name in AP, initials, and the collimator's edge."""
    size = canvas.size
    image = Image.new("L", (size, size))
    draw = ImageDraw.Draw(image)
    right = generator.random() < 0.25
    height = generator.uniform(0.035, 0.055)
    position = (
        generator.uniform(0.03, 0.10) if right else generator.uniform(0.87, 0.93),
        generator.uniform(0.03, 0.13),
    )
    _write(draw, "R" if right else "L", position, height, size)
    if view == "AP":
        text = ("AP", "AP PORTABLE", "AP SUPINE", "AP ERECT")[int(generator.integers(4))]
        _write(draw, text, (generator.uniform(0.04, 0.55), generator.uniform(0.02, 0.05)), 0.03, size)
    if generator.random() < 0.3:
        initials = "".join(chr(65 + int(code)) for code in generator.integers(0, 26, 2))
        _write(draw, initials, (position[0], position[1] + 1.2 * height), 0.6 * height, size)
    ink = np.asarray(image, dtype=np.float32) * np.float32(generator.uniform(0.75, 1.0) / 255)
    return _collimate(np.maximum(gray, ink), canvas, generator)


def _write(draw: ImageDraw.ImageDraw, text: str, position: tuple[float, float], height: float, size: int) -> None:
    font = ImageFont.load_default(max(6.0, height * size))
    draw.text((position[0] * size, position[1] * size), text, fill=255, font=font, stroke_width=height * size / 24)


def _collimate(gray: FloatImage, canvas: Canvas, generator: Generator) -> FloatImage:
    """Add dark (or unshuttered white) strips at one or two borders in a third of the films."""
    if generator.random() > 0.35:
        return gray
    shade = np.float32(0.97 if generator.random() < 0.25 else 0.02)
    centers = ((np.arange(canvas.size) + 0.5) / canvas.size).astype(np.float32)
    distances = (centers[None, :], 1 - centers[None, :], centers[:, None], 1 - centers[:, None])
    for index in generator.permutation(4)[: int(generator.integers(1, 3))]:
        edge = np.float32(generator.uniform(0.008, 0.035)) + np.float32(generator.normal(0, 0.01)) * (
            centers if index > 1 else centers[:, None]
        )
        open_part = smoothstep(distances[index] - edge, 0.004)
        gray = gray * open_part + shade * (1 - open_part)
    return gray
