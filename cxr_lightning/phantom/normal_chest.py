"""The normal chest as a scene of separate layers, so that a finding can change one layer only."""

from dataclasses import dataclass

import numpy as np

from cxr_lightning.phantom.anatomy import (
    LEFT,
    RIGHT,
    SIDES,
    Anatomy,
    dome_curve,
    heart_outline,
    hilum_center,
    lung_outline,
    mediastinum_outline,
)
from cxr_lightning.phantom.canvas import (
    Canvas,
    FloatImage,
    FloatVector,
    Points,
    ribbon_outline,
    smooth_curve,
    smoothstep,
)
from cxr_lightning.phantom.skeleton import bone_attenuation


@dataclass
class Scene:
    """Layers of one chest; every array is ``(S, S)``, attenuation in units of an average trunk.

    Attributes:
        canvas: Canvas of all layers.
        anatomy: Measures of the chest.
        lungs: Fraction of lung in each pixel by side, without heart and great vessels.
        air: Amount of air in the beam's path, 0 to about 1; findings that fill alveoli lower it.
        vessels: Attenuation of the lung's vessels; hidden where ``air`` is gone.
        soft_tissue: Attenuation of all other soft tissue.
        bones: Attenuation of bones.
    """

    canvas: Canvas
    anatomy: Anatomy
    lungs: dict[int, FloatImage]
    air: FloatImage
    vessels: FloatImage
    soft_tissue: FloatImage
    bones: FloatImage

    def attenuation(self) -> FloatImage:
        """Attenuation of all layers together."""
        aerated = np.clip(self.air * np.float32(2.2), 0, 1)
        loss = self.soft_tissue + self.bones + self.vessels * aerated - np.float32(self.anatomy.air) * self.air
        return np.asarray(loss, dtype=np.float32)

    def fill(self, mask: FloatImage, amount: float) -> None:
        """Replace the fraction ``amount`` of the air inside ``mask`` by fluid or tissue."""
        self.air *= 1 - np.float32(amount) * np.clip(mask, 0, 1)


def build_scene(canvas: Canvas, anatomy: Anatomy, generator: np.random.Generator) -> Scene:
    """Draw the layers of a chest without findings.

    Args:
        canvas: Canvas to draw on.
        anatomy: Measures of the chest.
        generator: The patient's random stream for the vascular tree.
    """
    center = canvas.polygons([heart_outline(anatomy), mediastinum_outline(anatomy)], 0.005)
    both = canvas.polygons([lung_outline(anatomy, side) for side in SIDES], 0.0035) * (1 - np.float32(0.88) * center)
    lungs = {side: both * (np.float32(side) * canvas.x > 0) for side in SIDES}
    return Scene(
        canvas=canvas,
        anatomy=anatomy,
        lungs=lungs,
        air=both * _lung_thickness(canvas) * (1 + np.float32(0.25 * anatomy.rotation) * canvas.x),
        vessels=_vessels(canvas, anatomy, generator) * both,
        soft_tissue=_soft_tissue(canvas, anatomy, center),
        bones=bone_attenuation(canvas, anatomy),
    )


def _lung_thickness(canvas: Canvas) -> FloatImage:
    """Thickness of the lungs, which is less near the wall and the apex."""
    across = (np.abs(canvas.x) - np.float32(0.19)) * np.float32(1 / 0.22)
    down = (canvas.y - np.float32(0.46)) * np.float32(1 / 0.44)
    thickness = np.float32(1.04) - np.float32(0.17) * (across * across + down * down)
    return np.asarray(np.maximum(thickness, np.float32(0.55)), dtype=np.float32)


def _soft_tissue(canvas: Canvas, anatomy: Anatomy, center: FloatImage) -> FloatImage:
    trunk = canvas.polygon(_trunk(anatomy), 0.004)
    core = canvas.polygon(_trunk(anatomy, 0.85), 0.07)
    lower = np.float32(0.10) * (canvas.y - np.float32(0.5))
    soft = np.float32(anatomy.thickness) * trunk * (np.float32(0.36) + np.float32(0.46) * core + lower)
    soft += np.float32(0.42 * anatomy.thickness) * _arms(canvas, anatomy) * (1 - np.float32(0.8) * trunk)
    soft += np.float32(0.12) * center * (np.float32(0.4) + canvas.y) + _abdomen(canvas, anatomy) * core
    return soft + _breasts(canvas, anatomy) * trunk - _stomach_gas(canvas, anatomy)


def _trunk(anatomy: Anatomy, fraction: float = 1.0) -> Points:
    """Outline of the body without arms; a ``fraction`` below 1 gives the thicker inner part."""
    width, y = fraction * anatomy.trunk_width, anatomy.clavicle
    shoulder = fraction * (anatomy.half_width + 0.17)
    neck = [(0.13, -0.2), (0.115, y - 0.15), (0.145, y - 0.115), (0.22, y - 0.085), (0.31, y - 0.06)]
    arm = [(shoulder - 0.03, y - 0.025), (shoulder + 0.02, y + 0.06), (shoulder, y + 0.16)]
    flank = [(0.06 + 0.94 * width, 0.40), (width, 0.50), (width + 0.01, 0.7), (width, 1.2)]
    half = smooth_curve([*neck, *arm, *flank], 5)
    return np.concatenate([half, (half * np.array([-1.0, 1.0]))[::-1]])


def _arms(canvas: Canvas, anatomy: Anatomy) -> FloatImage:
    shoulder = anatomy.half_width + 0.12
    spread = 0.05 + 0.10 * anatomy.arms
    outlines = []
    for side in SIDES:
        line = smooth_curve(
            [(side * (shoulder + step * spread), anatomy.clavicle + 0.02 + 0.3 * step) for step in (0, 1, 2, 3)]
        )
        outlines.append(ribbon_outline(line, 0.13))
    return canvas.polygons(outlines, 0.012)


def _abdomen(canvas: Canvas, anatomy: Anatomy) -> FloatImage:
    """Attenuation below the diaphragm: a sharp edge at the domes, fading towards the flanks."""
    right, left = dome_curve(anatomy, RIGHT, 0.06), dome_curve(anatomy, LEFT, 0.06)
    flank_right, flank_left = (-0.7, anatomy.angle(RIGHT) + 0.2), (0.7, anatomy.angle(LEFT) + 0.2)
    outline = np.concatenate([[(-0.7, 1.3), flank_right], right, left[::-1], [flank_left, (0.7, 1.3)]])
    reach = np.exp(-np.square(np.square(canvas.x / np.float32(anatomy.half_width + 0.05))))
    return np.asarray(np.float32(0.36) * canvas.polygon(outline, 0.004) * reach, dtype=np.float32)


def _breasts(canvas: Canvas, anatomy: Anatomy) -> FloatImage:
    if anatomy.breasts < 0.15:
        return np.zeros_like(canvas.x)
    size = 0.115 + 0.05 * anatomy.breasts
    total = np.zeros_like(canvas.x)
    for side in SIDES:
        x, y = side * (0.235 + 0.01 * anatomy.breasts), 0.58 + 0.10 * anatomy.breasts
        below = smoothstep(1 - canvas.ellipse_distance(x, y, 1.25 * size, size), 0.09)
        total += below * smoothstep(canvas.y - np.float32(y - 0.05 * size), 0.9 * size)
    return np.float32(0.12 + 0.16 * anatomy.breasts) * total


def _stomach_gas(canvas: Canvas, anatomy: Anatomy) -> FloatImage:
    """Gas bubble of the stomach under the left dome, with a flat fluid level."""
    if anatomy.stomach == 0:
        return np.zeros_like(canvas.x)
    x, y = 0.17, anatomy.left_dome + 0.025 + 0.45 * anatomy.stomach
    bubble = smoothstep(1 - canvas.ellipse_distance(x, y, anatomy.stomach, 0.5 * anatomy.stomach), 0.25)
    level = smoothstep(np.float32(y + 0.25 * anatomy.stomach) - canvas.y, 0.006)
    return np.float32(0.30) * bubble * level


def airway_attenuation(canvas: Canvas, anatomy: Anatomy) -> FloatImage:
    """Attenuation to subtract for the air in the trachea and the two main bronchi."""
    shift = 0.8 * anatomy.heart_shift + 0.004
    trunk = smooth_curve([(0.0, -0.05), (0.5 * shift, 0.12), (shift, 0.24), (shift, 0.335)])
    branches = [
        smooth_curve([(shift, 0.32), (shift + side * 0.03, 0.365), (shift + side * 0.07, 0.40)]) for side in SIDES
    ]
    return np.float32(0.13) * canvas.polygons(
        [ribbon_outline(trunk, 0.030), *(ribbon_outline(line, 0.018) for line in branches)], 0.004
    )


def _vessels(canvas: Canvas, anatomy: Anatomy, generator: np.random.Generator) -> FloatImage:
    branches, widths, levels = map(
        np.concatenate, zip(*(vascular_tree(anatomy, side, generator) for side in SIDES), strict=True)
    )
    tree = canvas.strokes(branches, widths, 0.0012, levels)
    (right, y_right), (left, y_left) = (hilum_center(anatomy, side) for side in SIDES)
    across = np.abs(canvas.x - np.float32(0.5 * (right + left))) - np.float32(0.5 * (left - right))
    down = canvas.y - np.where(canvas.x < 0, np.float32(y_right), np.float32(y_left))
    root = np.exp(-np.square(across * np.float32(1 / 0.030)) - np.square(down * np.float32(1 / 0.060)))
    texture = canvas.noise(generator, 0.014) * np.float32(0.010)
    return np.asarray(np.float32(anatomy.vessels) * (tree + np.float32(0.65) * root) + texture, dtype=np.float32)


def vascular_tree(
    anatomy: Anatomy, side: int, generator: np.random.Generator
) -> tuple[Points, FloatVector, FloatVector]:
    """Draw the arteries and veins that fan out from one lung root.

    Args:
        anatomy: Measures of the chest.
        side: -1 right, +1 left.
        generator: Source of the branching.

    Returns:
        Branches ``(N, 3, 2)``, thickest first, with their widths and levels, each ``(N,)``, as for `Canvas.strokes`.
    """
    x, y = hilum_center(anatomy, side)
    headings = np.radians(np.linspace(-75, 92, 8)) + generator.normal(0, 0.12, 8)  # 0 points to the side, 90 down
    starts = np.stack([x + generator.normal(0, 0.008, 8), y + np.linspace(-0.05, 0.06, 8)], axis=1)
    lengths, widths, levels = (
        generator.uniform(0.05, 0.12, 8),
        generator.uniform(0.008, 0.018, 8),
        generator.uniform(0.55, 1.0, 8),
    )
    branches, all_widths, all_levels = [], [], []
    for _ in range(4):
        ends, middles, bent = _grow(starts, headings, lengths, side, generator)
        branches.append(np.stack([starts, middles, ends], axis=1))
        all_widths.append(widths)
        all_levels.append(levels)
        count = len(headings)
        fork = np.tile([-1.0, 1.0], count) * generator.uniform(0.05, 0.65, 2 * count)
        starts, headings = np.repeat(ends, 2, axis=0), np.repeat(bent, 2) + fork
        lengths = np.repeat(lengths, 2) * generator.uniform(0.6, 0.95, 2 * count)
        widths, levels = np.repeat(widths, 2) * 0.62, np.repeat(levels, 2) * 0.72
    return np.concatenate(branches), np.concatenate(all_widths), np.concatenate(all_levels)


def _grow(
    starts: Points, headings: np.ndarray, lengths: np.ndarray, side: int, generator: np.random.Generator
) -> tuple[Points, Points, np.ndarray]:
    bent = headings + generator.normal(0, 0.24, len(headings))
    first = np.stack([side * np.cos(headings), np.sin(headings)], axis=1) * (0.5 * lengths)[:, None]
    second = np.stack([side * np.cos(bent), np.sin(bent)], axis=1) * (0.5 * lengths)[:, None]
    return starts + first + second, starts + first, bent
