"""Painters of findings of the pleura: fluid, air and scars between lung and chest wall."""

import numpy as np
from numpy.random import Generator

from cxr_lightning.phantom.anatomy import SIDES, lung_outline, wall_distance
from cxr_lightning.phantom.boxes import PhantomBox, mask_to_boxes
from cxr_lightning.phantom.canvas import FloatImage, Points, smoothstep
from cxr_lightning.phantom.findings_anatomy import pick_side
from cxr_lightning.phantom.normal_chest import Scene


def paint_effusion(scene: Scene, generator: Generator) -> list[PhantomBox]:
    """Paint fluid that fills the costophrenic angle and rises along the chest wall in a meniscus."""
    side = pick_side(generator)
    boxes = []
    for affected_side in SIDES if generator.random() < 0.3 else (side,):
        mask = _fluid(scene, affected_side, float(generator.beta(1.6, 1.8)))
        scene.fill(mask, 0.98)
        scene.soft_tissue += np.float32(0.16) * mask
        boxes += mask_to_boxes(scene.canvas, "Effusion", mask, 0.5)
    return boxes


def _fluid(scene: Scene, side: int, amount: float) -> FloatImage:
    """Mask of the fluid; ``amount`` runs from a blunted angle (0) to half the chest (1)."""
    canvas, anatomy = scene.canvas, scene.anatomy
    angle, inner = anatomy.angle(side), 0.06
    level = angle - 0.05 - 0.26 * amount  # height of the meniscus at the chest wall
    climb = 0.075 + 0.05 * amount
    across = np.clip(
        (np.float32(side) * canvas.x - np.float32(inner)) / np.float32(float(wall_distance(anatomy, level)) - inner),
        0,
        1.1,
    )
    surface = np.float32(level + 0.02) - np.float32(climb) * across**5
    return smoothstep(canvas.y - surface, 0.009) * scene.lungs[side]


def paint_pneumothorax(scene: Scene, generator: Generator) -> list[PhantomBox]:
    """Paint a dark rim without lung markings outside a fine pleural line."""
    side = pick_side(generator)
    canvas = scene.canvas
    collapsed = _collapsed_lung(scene, side, generator)
    lung = canvas.polygon(collapsed, 0.0025)
    rim = np.clip(scene.lungs[side] - lung, 0, 1) * smoothstep(
        np.float32(scene.anatomy.angle(side) - 0.04) - canvas.y, 0.05
    )
    scene.vessels *= 1 - rim
    scene.air *= 1 + np.float32(generator.uniform(0.20, 0.32)) * rim - np.float32(0.12) * np.clip(lung - rim, 0, 1)
    visible = collapsed[: len(collapsed) * 3 // 5]
    line = canvas.strokes([visible], 0.006, 0.0008) * scene.lungs[side]
    scene.soft_tissue += np.float32(0.36) * line
    return mask_to_boxes(canvas, "Pneumothorax", rim, 0.5)


def _collapsed_lung(scene: Scene, side: int, generator: Generator) -> Points:
    """Outline of the lung shrunk towards its root, more so at the top."""
    outline = lung_outline(scene.anatomy, side)
    apex_gap, side_gap = generator.uniform(0.07, 0.16), generator.uniform(0.05, 0.11)
    depth = np.clip((outline[:, 1] - scene.anatomy.apex) / 0.6, 0, 1)
    distance = np.abs(outline[:, 0])
    narrowed = 0.05 + (distance - 0.05) * (1 - side_gap * (1.4 - 0.8 * depth) / 0.28)
    shrunk = np.stack([side * narrowed, outline[:, 1] + apex_gap * (1 - depth) ** 1.5], axis=1)
    shrunk[:, 0] += side * 0.004 * np.sin(np.linspace(0, generator.uniform(9, 16), len(shrunk)))
    return shrunk


def paint_pleural_thickening(scene: Scene, generator: Generator) -> list[PhantomBox]:
    """Paint a dense strip along the chest wall with a wavy inner border, or a cap on the apex."""
    side = pick_side(generator)
    boxes = []
    for affected_side in SIDES if generator.random() < 0.55 else (side,):
        mask = (
            _cap(scene, affected_side, generator)
            if generator.random() < 0.3
            else _strip(scene, affected_side, generator)
        )
        scene.fill(mask, 0.85)
        scene.soft_tissue += np.float32(generator.uniform(0.34, 0.48)) * mask
        boxes += mask_to_boxes(scene.canvas, "Pleural_Thickening", mask)
    return boxes


def _strip(scene: Scene, side: int, generator: Generator) -> FloatImage:
    canvas, anatomy = scene.canvas, scene.anatomy
    top = generator.uniform(0.20, 0.40)
    bottom = min(top + generator.uniform(0.26, 0.42), anatomy.angle(side) - 0.02)
    rows = np.linspace(0, 1, 256)
    border = np.asarray(wall_distance(anatomy, rows), dtype=np.float32)
    gap = np.interp(canvas.y, rows, border).astype(np.float32) - np.float32(side) * canvas.x
    along = np.clip((canvas.y - np.float32(top)) / np.float32(bottom - top), 0, 1)
    waves = np.float32(1) + np.float32(0.16) * np.sin(
        along * np.float32(generator.uniform(8, 18)) + np.float32(generator.uniform(0, 6))
    )
    thickness = np.float32(generator.uniform(0.036, 0.058)) * np.sqrt(np.clip(4 * along * (1 - along), 0, 1)) * waves
    return smoothstep(thickness - gap, 0.005) * smoothstep(thickness - np.float32(0.003), 0.003) * scene.lungs[side]


def _cap(scene: Scene, side: int, generator: Generator) -> FloatImage:
    canvas, apex = scene.canvas, scene.anatomy.apex
    depth = generator.uniform(0.055, 0.085)
    lower = np.float32(apex + depth) + np.float32(1.6) * np.square(np.float32(side) * canvas.x - np.float32(0.11))
    wavy = canvas.noise(generator, 0.05) * np.float32(0.004)
    return smoothstep(lower + wavy - canvas.y, 0.006) * scene.lungs[side]
