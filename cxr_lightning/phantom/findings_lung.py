"""Painters of findings inside the lungs: each changes the scene and returns its boxes.

Their appearance follows Hansell et al., "Fleischner Society: Glossary of Terms for Thoracic Imaging",
Radiology 2008.
"""

import numpy as np
from numpy.random import Generator

from cxr_lightning.phantom.anatomy import SIDES, hilum_center, wall_distance
from cxr_lightning.phantom.boxes import PhantomBox, mask_to_boxes
from cxr_lightning.phantom.canvas import FloatImage, smooth_curve, smoothstep
from cxr_lightning.phantom.findings_anatomy import pick_side
from cxr_lightning.phantom.normal_chest import Scene, vascular_tree


def paint_atelectasis(scene: Scene, generator: Generator) -> list[PhantomBox]:
    """Paint plate-like bands above a raised dome, or a collapsed wedge behind the heart."""
    side = pick_side(generator)
    mask = (_plates if generator.random() < 0.88 else _wedge)(scene, side, generator)
    mask *= np.clip(scene.lungs[side] + np.float32(0.25), 0, 1)
    scene.fill(mask, generator.uniform(0.75, 0.95))
    scene.soft_tissue += mask * np.float32(0.12)
    return mask_to_boxes(scene.canvas, "Atelectasis", mask)


def _plates(scene: Scene, side: int, generator: Generator) -> FloatImage:
    outlines = []
    y = scene.anatomy.dome(side) - generator.uniform(0.03, 0.06)
    for _ in range(int(generator.integers(2, 5))):
        center, length = generator.uniform(0.17, 0.22), generator.uniform(0.20, 0.30)
        slope, bow = generator.uniform(-0.35, 0.1), generator.uniform(-0.25, 0.3)
        along = np.linspace(-0.5, 0.5, 15)
        line = y + slope * length * along + bow * length * along**2
        half = 0.5 * generator.uniform(0.019, 0.032) * np.sqrt(1 - (2 * along) ** 2 + 0.02)
        x = side * (center + length * along)
        outlines.append(np.concatenate([np.stack([x, line - half], axis=1), np.stack([x, line + half], axis=1)[::-1]]))
        y -= generator.uniform(0.03, 0.07)
    return scene.canvas.polygons(outlines, 0.0035)


def _wedge(scene: Scene, side: int, generator: Generator) -> FloatImage:
    floor = scene.anatomy.dome(side) + 0.05
    top, reach = generator.uniform(0.38, 0.46), generator.uniform(0.20, 0.28)
    bow = 0.35 * reach + generator.uniform(-0.02, 0.02)
    edge = smooth_curve([(side * 0.03, top), (side * (0.03 + bow), 0.45 * top + 0.55 * floor), (side * reach, floor)])
    outline = np.concatenate([edge, [(side * reach, floor + 0.03), (0.0, floor + 0.03), (0.0, top)]])
    return scene.canvas.polygon(outline, 0.004)


def paint_consolidation(scene: Scene, generator: Generator) -> list[PhantomBox]:
    """Paint a uniformly white part of a lobe, bounded by a sharp fissure, with air bronchograms."""
    side = pick_side(generator)
    canvas = scene.canvas
    upper = generator.random() < 0.5
    fissure = generator.uniform(0.32, 0.46) if upper else generator.uniform(0.40, 0.53)
    slope = generator.uniform(-0.25, 0.25)
    x, towards = side * generator.uniform(0.14, 0.22), -1 if upper else 1
    y = fissure + towards * generator.uniform(0.05, 0.09)
    radius_x, radius_y = generator.uniform(0.11, 0.15), generator.uniform(0.10, 0.145)
    ragged = canvas.noise(generator, 0.06) * np.float32(0.12)
    body = smoothstep(1 - canvas.ellipse_distance(x, y, radius_x, radius_y) + ragged, 0.6)
    line = np.float32(fissure) + np.float32(slope) * (canvas.x - np.float32(x))
    sharp = smoothstep(np.float32(towards) * (canvas.y - line), 0.004)
    mask = body * sharp * scene.lungs[side]
    _consolidate(scene, side, mask, generator, generator.uniform(0.84, 0.97))
    return mask_to_boxes(canvas, "Consolidation", mask)


def paint_pneumonia(scene: Scene, generator: Generator) -> list[PhantomBox]:
    """Paint dense confluent patches with a fuzzy border and air bronchograms."""
    side = pick_side(generator)
    canvas = scene.canvas
    x, y = side * generator.uniform(0.13, 0.25), generator.uniform(0.30, scene.anatomy.dome(side) - 0.06)
    radius_x, radius_y = generator.uniform(0.09, 0.125), generator.uniform(0.095, 0.135)
    patches = canvas.noise(generator, 0.05) * np.float32(0.42) + canvas.noise(generator, 0.02) * np.float32(0.22)
    shape = np.float32(1.0) - canvas.ellipse_distance(x, y, radius_x, radius_y) + patches
    near = np.exp(-np.float32(0.5) * canvas.ellipse_distance(x, y, 1.2 * radius_x, 1.2 * radius_y))
    mask = smoothstep(shape, 1.0) * np.clip(near * np.float32(1.6), 0, 1) * scene.lungs[side]
    _consolidate(scene, side, mask, generator, generator.uniform(0.72, 0.92))
    return mask_to_boxes(canvas, "Pneumonia", mask)


def _consolidate(scene: Scene, side: int, mask: FloatImage, generator: Generator, amount: float) -> None:
    """Fill the mask except for some air-filled bronchi."""
    branches, widths, levels = (part[:56] for part in vascular_tree(scene.anatomy, side, generator))
    bronchi = scene.canvas.strokes(branches, 0.9 * widths, 0.002, levels) * np.float32(0.75)
    scene.fill(mask * (1 - bronchi), amount)
    scene.soft_tissue += mask * np.float32(0.06)


def paint_infiltration(scene: Scene, generator: Generator) -> list[PhantomBox]:
    """Paint ill-defined faint mottling along thickened markings, in one or both lungs."""
    side = pick_side(generator)
    both = generator.random() < 0.4
    boxes = []
    for affected_side in SIDES if both else (side,):
        mask = _mottle(scene, affected_side, generator)
        scene.fill(mask, generator.uniform(0.45, 0.62))
        scene.vessels *= 1 + np.float32(0.8) * mask
        boxes += mask_to_boxes(scene.canvas, "Infiltration", mask)
    return boxes


def _mottle(scene: Scene, side: int, generator: Generator) -> FloatImage:
    canvas = scene.canvas
    x = hilum_center(scene.anatomy, side)[0] + side * generator.uniform(0.04, 0.14)
    y = generator.uniform(0.28, scene.anatomy.dome(side) - 0.08)
    around = np.exp(
        -np.float32(0.9) * canvas.ellipse_distance(x, y, generator.uniform(0.10, 0.16), generator.uniform(0.11, 0.18))
    )
    spots = (
        np.float32(0.6)
        + np.float32(0.25) * canvas.noise(generator, 0.028)
        + np.float32(0.16) * canvas.noise(generator, 0.013)
    )
    return np.asarray(
        np.clip(around * np.float32(1.25) * np.clip(spots, 0.08, 1.2), 0, 1) * scene.lungs[side], dtype=np.float32
    )


def paint_mass(scene: Scene, generator: Generator) -> list[PhantomBox]:
    """Paint one round or lobulated opacity of 3 cm (0.07 of the frame) or more."""
    side = pick_side(generator)
    canvas = scene.canvas
    radius = generator.uniform(0.062, 0.105)
    x, y = _draw_lung_position(scene, side, radius, generator)
    angle = np.arctan2(canvas.y - np.float32(y), canvas.x - np.float32(x))
    waves = [(order, generator.uniform(0, 0.10), generator.uniform(0, 6.28)) for order in (2, 3, 5)]
    lobes = sum(
        (np.float32(size) * np.cos(order * angle + np.float32(phase)) for order, size, phase in waves), np.float32(1)
    )
    ball = 1 - canvas.ellipse_distance(x, y, radius, radius * generator.uniform(0.85, 1.2)) / (lobes * lobes)
    mask = np.sqrt(np.clip(ball, 0, 1)) * smoothstep(ball, 0.15)
    return _add_tissue(scene, "Mass", mask, generator.uniform(0.62, 0.85))


def paint_nodule(scene: Scene, generator: Generator) -> list[PhantomBox]:
    """Paint one to five round opacities below 3 cm."""
    side = pick_side(generator)
    boxes = []
    for _ in range(int(generator.choice([1, 2, 3, 4, 5], p=[0.1, 0.2, 0.3, 0.2, 0.2]))):
        radius = generator.uniform(0.022, 0.033)
        x, y = _draw_lung_position(scene, side, radius, generator)
        ball = 1 - scene.canvas.ellipse_distance(x, y, radius, radius * generator.uniform(0.9, 1.1))
        mask = np.sqrt(np.clip(ball, 0, 1)) * smoothstep(ball, 0.25)
        boxes += _add_tissue(scene, "Nodule", mask, generator.uniform(0.55, 0.75))
        side = pick_side(generator)
    return boxes


def _draw_lung_position(scene: Scene, side: int, margin: float, generator: Generator) -> tuple[float, float]:
    anatomy = scene.anatomy
    y = generator.uniform(anatomy.apex + 0.08 + margin, anatomy.dome(side) - 0.02 - margin)
    border = anatomy.heart_borders[0 if side < 0 else 1]
    inner = 0.09 if y < 0.5 else max(0.09, abs(border))
    outer = max(float(wall_distance(anatomy, y)) - 0.015 - margin, inner + margin + 0.01)
    return side * generator.uniform(min(inner + margin, outer), outer), y


def _add_tissue(scene: Scene, label: str, mask: FloatImage, density: float) -> list[PhantomBox]:
    scene.soft_tissue += np.float32(density) * mask
    return mask_to_boxes(scene.canvas, label, mask)
