"""Distractors: harmless shadows that resemble findings and occur independently of the labels."""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from cxr_lightning.phantom.anatomy import LEFT, RIGHT, SIDES, wall_distance
from cxr_lightning.phantom.canvas import smooth_curve, smoothstep
from cxr_lightning.phantom.normal_chest import Scene
from cxr_lightning.phantom.skeleton import rib_center_lines


def paint_distractors(scene: Scene, generator: Generator) -> None:
    """Add each distractor with its own small probability."""
    for probability, paint in _DISTRACTORS:
        if generator.random() < probability:
            paint(scene, generator)


def _nipples(scene: Scene, generator: Generator) -> None:
    x, y = generator.uniform(0.19, 0.24), generator.uniform(0.60, 0.67)
    for side in SIDES:
        spot = np.exp(-np.float32(1.2) * scene.canvas.ellipse_distance(side * x, y + generator.normal(0, 0.006), 0.012))
        scene.soft_tissue += np.float32(0.09) * spot


def _granuloma(scene: Scene, generator: Generator) -> None:
    side = SIDES[int(generator.integers(2))]
    x, y = side * generator.uniform(0.12, 0.26), generator.uniform(0.25, 0.6)
    scene.soft_tissue += np.float32(0.35) * np.exp(
        -scene.canvas.ellipse_distance(x, y, generator.uniform(0.004, 0.007))
    )


def _skin_fold(scene: Scene, generator: Generator) -> None:
    """Add a long edge that fades slowly to one side; lung markings continue beyond it, unlike in a pneumothorax."""
    side = SIDES[int(generator.integers(2))]
    x, slope = side * generator.uniform(0.17, 0.26), generator.uniform(-0.12, 0.12)
    across = np.float32(side) * (
        scene.canvas.x - np.float32(x) - np.float32(slope) * (scene.canvas.y - np.float32(0.45))
    )
    fade = np.exp(np.minimum(across, 0) * np.float32(1 / 0.035)) * smoothstep(-across, 0.002)
    extent = np.exp(-np.square(np.square((scene.canvas.y - np.float32(0.42)) / np.float32(0.28))))
    scene.soft_tissue += np.float32(0.07) * fade * extent


def _fat_pad(scene: Scene, generator: Generator) -> None:
    """Add fat beside the heart, which blurs the cardiophrenic angle."""
    side = LEFT if generator.random() < 0.7 else RIGHT
    x = scene.anatomy.heart_borders[0 if side == RIGHT else 1]
    y = scene.anatomy.dome(side) + 0.005
    pad = np.exp(-scene.canvas.ellipse_distance(x, y, generator.uniform(0.035, 0.06), generator.uniform(0.03, 0.05)))
    scene.fill(pad * scene.lungs[side], 0.55)


def _rib_callus(scene: Scene, generator: Generator) -> None:
    """Add the thickening of a rib by a healed fracture."""
    side, number = SIDES[int(generator.integers(2))], int(generator.integers(3, 9))
    x, y = rib_center_lines(scene.anatomy, side, np.array([number]), 20, 85)[0, int(generator.integers(2, 15))]
    scene.bones += np.float32(0.11) * np.exp(-scene.canvas.ellipse_distance(x, y, 0.018, 0.013))


def _calcified_cartilage(scene: Scene, generator: Generator) -> None:
    """Add calcified cartilage of the first ribs, on both sides."""
    for side in SIDES:
        x, y = side * generator.uniform(0.075, 0.095), scene.anatomy.clavicle + generator.uniform(0.06, 0.08)
        spots = np.clip(scene.canvas.noise(generator, 0.012), 0, 1)
        scene.bones += np.float32(0.16) * spots * np.exp(-scene.canvas.ellipse_distance(x, y, 0.024, 0.016))


def _azygos_fissure(scene: Scene, generator: Generator) -> None:
    x = -generator.uniform(0.10, 0.13)
    curve = smooth_curve([(x, scene.anatomy.apex + 0.02), (x + 0.012, 0.22), (x + 0.03, 0.29), (x + 0.055, 0.34)])
    scene.soft_tissue += np.float32(0.10) * scene.canvas.strokes([curve], 0.004, 0.001) * scene.lungs[RIGHT]


def _minor_fissure(scene: Scene, generator: Generator) -> None:
    """Add the hairline between the right upper and middle lobe, visible in half of all people."""
    y = generator.uniform(0.43, 0.47)
    curve = smooth_curve(
        [(-0.08, y), (-0.18, y + generator.normal(0, 0.006)), (-float(wall_distance(scene.anatomy, y)), y + 0.012)]
    )
    scene.soft_tissue += np.float32(0.05) * scene.canvas.strokes([curve], 0.003, 0.001) * scene.lungs[RIGHT]


def _bowel_gas(scene: Scene, generator: Generator) -> None:
    """Add pockets of air in the colon below the diaphragm."""
    for _ in range(int(generator.integers(2, 6))):
        x, y = generator.uniform(-0.25, 0.27), scene.anatomy.left_dome + generator.uniform(0.10, 0.22)
        pocket = smoothstep(
            1 - scene.canvas.ellipse_distance(x, y, generator.uniform(0.02, 0.05), generator.uniform(0.015, 0.03)), 0.4
        )
        scene.soft_tissue -= np.float32(0.16) * pocket


_DISTRACTORS: tuple[tuple[float, Callable[[Scene, Generator], None]], ...] = (
    (0.15, _nipples),
    (0.12, _granuloma),
    (0.12, _skin_fold),
    (0.25, _fat_pad),
    (0.15, _rib_callus),
    (0.15, _calcified_cartilage),
    (0.03, _azygos_fissure),
    (0.30, _minor_fissure),
    (0.20, _bowel_gas),
)
