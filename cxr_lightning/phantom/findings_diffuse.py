"""Painters of findings in both lungs or behind the heart."""

import numpy as np
from numpy.random import Generator

from cxr_lightning.phantom.anatomy import SIDES, heart_outline, hilum_center, wall_distance
from cxr_lightning.phantom.boxes import PhantomBox, mask_to_boxes
from cxr_lightning.phantom.canvas import FloatImage, smoothstep
from cxr_lightning.phantom.findings_anatomy import pick_side
from cxr_lightning.phantom.normal_chest import Scene


def paint_cardiomegaly(scene: Scene, generator: Generator) -> list[PhantomBox]:
    """Return the heart's box only: `findings_anatomy` has widened the heart before drawing."""
    del generator
    return mask_to_boxes(scene.canvas, "Cardiomegaly", scene.canvas.polygon(heart_outline(scene.anatomy)))


def paint_edema(scene: Scene, generator: Generator) -> list[PhantomBox]:
    """Paint butterfly-shaped haze around both hila, blurred vessels, and Kerley B lines at the bases."""
    canvas = scene.canvas
    haze = np.zeros_like(canvas.x)
    for side in SIDES:
        x, y = hilum_center(scene.anatomy, side)
        wing = np.exp(
            -np.float32(0.8)
            * canvas.ellipse_distance(
                x + side * 0.07, y + 0.05, generator.uniform(0.10, 0.14), generator.uniform(0.15, 0.20)
            )
        )
        haze += wing * scene.lungs[side]
    grain = np.float32(0.75) + np.float32(0.26) * canvas.noise(generator, 0.032)
    grain += np.float32(0.18) * canvas.noise(generator, 0.015)
    haze = np.clip(haze * grain * np.float32(1.1), 0, 1)
    scene.fill(haze, generator.uniform(0.36, 0.58))
    lines = _kerley_lines(scene, generator)
    scene.soft_tissue += np.float32(0.16) * lines * (scene.lungs[-1] + scene.lungs[1])
    return mask_to_boxes(canvas, "Edema", haze, 0.3)


def _kerley_lines(scene: Scene, generator: Generator) -> FloatImage:
    lines, levels = [], []
    for side in SIDES:
        for y in np.arange(scene.anatomy.angle(side) - 0.19, scene.anatomy.angle(side) - 0.03, 0.017):
            outer = float(wall_distance(scene.anatomy, y)) - 0.002
            length, slope = generator.uniform(0.035, 0.07), generator.uniform(-0.006, 0.006)
            lines.append(np.array([(side * outer, y), (side * (outer - length), y + slope)]))
            levels.append(generator.uniform(0.5, 1.0))
    return scene.canvas.strokes(lines, 0.004, 0.001, np.array(levels))


def paint_emphysema(scene: Scene, generator: Generator) -> list[PhantomBox]:
    """Paint bullae; the large dark lungs come from the chest's measures."""
    pick_side(generator)
    canvas = scene.canvas
    for _ in range(int(generator.integers(2, 6))):
        side = pick_side(generator)
        x, y = side * generator.uniform(0.14, 0.25), generator.uniform(scene.anatomy.apex + 0.06, 0.5)
        radius = generator.uniform(0.03, 0.06)
        distance = canvas.ellipse_distance(x, y, radius, radius * generator.uniform(0.9, 1.3)) + canvas.noise(
            generator, 0.06
        ) * np.float32(0.08)
        inside = smoothstep(1 - distance, 0.15) * scene.lungs[side]
        ring = (
            np.exp(-np.square((np.sqrt(np.maximum(distance, 0)) - 1) * np.float32(radius / 0.004))) * scene.lungs[side]
        )
        scene.vessels *= 1 - inside
        scene.soft_tissue += np.float32(0.18) * ring - np.float32(0.07) * inside
    return mask_to_boxes(canvas, "Emphysema", scene.lungs[-1] + scene.lungs[1])


def paint_fibrosis(scene: Scene, generator: Generator) -> list[PhantomBox]:
    """Paint a coarse reticular pattern, densest at the bases and near the chest wall."""
    canvas = scene.canvas
    pick_side(generator)
    reticulation = _reticular_lines(canvas.noise(generator, 0.030), 0.20) + np.float32(0.8) * _reticular_lines(
        canvas.noise(generator, 0.019), 0.28
    )
    total = np.zeros_like(reticulation)
    extent = generator.uniform(0.30, 0.45)
    for side in SIDES:
        floor = scene.anatomy.dome(side) + 0.03
        low = smoothstep(canvas.y - np.float32(floor - extent), 0.09)
        near_wall = smoothstep(np.abs(canvas.x) - np.float32(0.17), 0.10)
        total += (
            (np.float32(0.45) + np.float32(0.55) * near_wall)
            * low
            * scene.lungs[side]
            * np.float32(generator.uniform(0.7, 1.0))
        )
    scene.fill(total, 0.06)
    scene.soft_tissue += (
        np.float32(generator.uniform(0.30, 0.40)) * total * (reticulation - np.float32(0.2))
    )  # cells between are lucent
    return mask_to_boxes(canvas, "Fibrosis", total, 0.4)


def _reticular_lines(noise: FloatImage, width: float) -> FloatImage:
    """Lines where the noise is zero, which form closed cells."""
    return np.asarray(np.exp(-np.square(noise / np.float32(width))), dtype=np.float32)


def paint_hernia(scene: Scene, generator: Generator) -> list[PhantomBox]:
    """Paint a part of the stomach in the chest: a round walled shadow behind the heart, air above a fluid level."""
    side = pick_side(generator)
    canvas = scene.canvas
    radius_x, radius_y = generator.uniform(0.095, 0.13), generator.uniform(0.08, 0.115)
    x = scene.anatomy.heart_shift + side * generator.uniform(0.0, 0.06) + 0.012
    y = 0.5 * (scene.anatomy.right_dome + scene.anatomy.left_dome) - generator.uniform(-0.01, 0.06)
    ragged = canvas.noise(generator, 0.08) * np.float32(0.05)
    inside = 1 - canvas.ellipse_distance(x, y, radius_x, radius_y) + ragged
    body = smoothstep(inside, 0.12)
    wall_ring = np.exp(-np.square(inside / np.float32(0.13)))
    gas = smoothstep(np.float32(y + generator.uniform(-0.35, 0.4) * radius_y) - canvas.y, 0.004)
    scene.soft_tissue += np.float32(0.30) * wall_ring + body * (
        np.float32(0.20) - np.float32(0.20 + generator.uniform(0.46, 0.62)) * gas
    )
    return mask_to_boxes(canvas, "Hernia", body)
