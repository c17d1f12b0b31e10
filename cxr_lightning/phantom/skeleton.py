"""Attenuation of the bones: ribs, spine, clavicles and shoulders."""

import numpy as np

from cxr_lightning.phantom.anatomy import SIDES, Anatomy, wall_distance
from cxr_lightning.phantom.canvas import Canvas, FloatImage, FloatVector, Points, ribbon_outline, smooth_curve

_RIB_NUMBERS = np.arange(1.0, 11.0)
_RIB_SPACING = 0.072


def bone_attenuation(canvas: Canvas, anatomy: Anatomy) -> FloatImage:
    """Attenuation of all bones; one blur of the sum gives their soft edges."""
    bones = _ribs(canvas, anatomy) + _spine(canvas, anatomy) + _shoulders(canvas, anatomy)
    return canvas.blurred(bones, 0.003)


def rib_center_lines(anatomy: Anatomy, side: int, numbers: FloatVector, first: float, last: float) -> Points:
    """Parts of the ribs' center lines, ``(N, 16, 2)``: tilted rings around the chest, seen from the front.

    Args:
        anatomy: Measures of the chest.
        side: -1 for right, +1 for left.
        numbers: Rib numbers, 1 (top) to 10.
        first: Start in degrees around the ring; 0 at the spine, 90 at the side.
        last: End in degrees; about 150 is the front.
    """
    angle = np.radians(np.linspace(first, last, 16))
    number = np.asarray(numbers, dtype=np.float64)[:, None]
    start = anatomy.apex - 0.005 + anatomy.rib_phase + _RIB_SPACING * (number - 1)
    fall = anatomy.rib_slope * (0.75 + 0.11 * number)
    y = start - 0.018 * np.sin(2 * angle) + fall * (1 - np.cos(angle)) ** 1.2
    reach = wall_distance(anatomy, np.maximum(start + fall, anatomy.apex + 0.035)) + 0.006
    return np.stack([side * (0.03 + (reach - 0.03) * np.sin(angle) ** 0.9), y], axis=-1)


def _ribs(canvas: Canvas, anatomy: Anatomy) -> FloatImage:
    """Draw clear posterior ribs and broader, fainter anterior ribs, both with a denser cortex."""
    front = np.concatenate([rib_center_lines(anatomy, side, _RIB_NUMBERS, 82.0, 142.0) for side in SIDES])
    back = np.concatenate([rib_center_lines(anatomy, side, _RIB_NUMBERS, 4.0, 96.0) for side in SIDES])
    outlines = np.concatenate(
        [
            ribbon_outline(front, 0.027),
            ribbon_outline(front, 0.015),
            ribbon_outline(back, 0.021),
            ribbon_outline(back, 0.0115),
        ]
    )
    levels = np.repeat([0.55, 0.40, 1.0, 0.62], len(front)).tolist()
    return canvas.polygons(outlines, 0.0, levels) * np.float32(anatomy.rib_contrast)


def _spine_x(anatomy: Anatomy, y: FloatVector) -> FloatVector:
    """``x`` of the spine's midline at height ``y``; it is slightly curved in most people."""
    return np.asarray(anatomy.spine_bend * np.sin(2 * np.pi * y))


def _spine(canvas: Canvas, anatomy: Anatomy) -> FloatImage:
    """Draw vertebral bodies that grow downward, lighter discs, end plates, pedicles and spinous processes."""
    heights = 0.036 + 0.0012 * np.arange(22)
    tops = -0.04 + np.concatenate([[0.0], np.cumsum(1.22 * heights)[:-1]])
    middle = np.stack([_spine_x(anatomy, tops), tops], axis=1)
    size = np.stack([0.026 + 0.0010 * np.arange(22), heights], axis=1)
    rotation_shift, dot = 0.012 * anatomy.rotation, np.array([0.0045, 0.008])
    parts = [
        _place_copies(_VERTEBRA, middle, size),
        _place_copies(_PLATE, middle, size),
        _place_copies(_PLATE, middle + [0, 1] * size, size),
    ]
    parts += [_place_copies(_OVAL, middle + [side * 0.6, 0.4] * size + [rotation_shift, 0.0], dot) for side in SIDES]
    parts += [_place_copies(_OVAL, middle + [0.0, 0.85] * size - [1.6 * rotation_shift, 0.0], dot)]
    outlines = [outline for part in parts for outline in part]
    detail = canvas.polygons(outlines, 0.0, np.repeat([0.55, 1.0, 1.0, 1.0, 1.0, 1.0], len(tops)).tolist())
    y = np.linspace(-0.1, 1.1, 20)
    column = canvas.polygon(ribbon_outline(np.stack([_spine_x(anatomy, y), y], axis=1), 0.078), 0.012)
    return np.asarray(np.float32(0.15) * column + np.float32(0.23) * detail, dtype=np.float32)


_VERTEBRA = np.array([(-1, 0), (1, 0), (0.9, 0.5), (1, 1), (-1, 1), (-0.9, 0.5)])
_PLATE = np.array([(-1.0, -0.05), (1.0, -0.05), (1.0, 0.05), (-1.0, 0.05)])
_OVAL = np.stack([np.cos(np.arange(12) * np.pi / 6), np.sin(np.arange(12) * np.pi / 6)], axis=1)


def _place_copies(shape: Points, centers: Points, sizes: Points) -> Points:
    """Copies of the shape at each center, scaled by each size, ``(N, K, 2)``."""
    return centers[:, None] + shape * np.broadcast_to(sizes, centers.shape)[:, None]


def _shoulders(canvas: Canvas, anatomy: Anatomy) -> FloatImage:
    """Draw clavicles, shoulder blades and the upper ends of the arm bones."""
    outlines, levels = [], []
    for side in SIDES:
        clavicle, edge = _clavicle(anatomy, side), _blade_edge(anatomy, side)
        outlines += [_blade(anatomy, side), _arm_bone(anatomy, side), ribbon_outline(edge, 0.012)]
        outlines += [ribbon_outline(clavicle, 0.021), ribbon_outline(clavicle, 0.011)]
        levels += [0.35, 0.8, 0.6, 1.0, 0.68]
    return np.float32(0.15) * canvas.polygons(outlines, 0.0, levels)


def _arm_bone(anatomy: Anatomy, side: int) -> Points:
    """Outline of the humerus' head and shaft, mostly outside the frame."""
    x, y = anatomy.half_width + 0.125, anatomy.clavicle + 0.01
    shape = [
        (-0.035, 0.01),
        (-0.02, -0.03),
        (0.02, -0.04),
        (0.05, -0.01),
        (0.07, 0.05),
        (0.12, 0.30),
        (0.07, 0.30),
        (0.03, 0.07),
        (-0.015, 0.045),
    ]
    return smooth_curve([(side * (x + dx), y + dy) for dx, dy in shape], closed=True)


def _clavicle(anatomy: Anatomy, side: int) -> Points:
    y, rotation_shift = anatomy.clavicle, 0.014 * anatomy.rotation
    reach = anatomy.half_width + 0.07
    shape = [(0.032, 0.035), (0.10, 0.018), (0.5 * reach, -0.005), (0.8 * reach, -0.045), (reach, -0.045)]
    return smooth_curve([(side * dx + rotation_shift, y + dy) for dx, dy in shape])


def _blade_edge(anatomy: Anatomy, side: int) -> Points:
    outer = anatomy.half_width + 0.085
    shape = [(outer, 0.03), (outer - 0.03, 0.10), (outer - 0.055, 0.18), (outer - 0.075, 0.27)]
    return smooth_curve([(side * dx, anatomy.clavicle + dy) for dx, dy in shape])


def _blade(anatomy: Anatomy, side: int) -> Points:
    outer = anatomy.half_width + 0.085
    shape = [(outer, 0.03), (outer - 0.075, 0.27), (outer - 0.10, 0.25), (outer - 0.13, 0.05), (outer - 0.08, -0.02)]
    return smooth_curve([(side * dx, anatomy.clavicle + dy) for dx, dy in shape], closed=True)
