"""Measures of one chest and the outlines that follow from them.

Proportions were read off adult frontal radiographs: lungs two thirds of the frame wide, the right dome higher than the
left, the heart one third to the right of the spine and two thirds to the left.
"""

from dataclasses import dataclass, replace

import numpy as np

from cxr_lightning.phantom.canvas import Points, smooth_curve

RIGHT, LEFT = -1, 1
SIDES = (RIGHT, LEFT)
_NORMAL_HEART_RATIO = (0.36, 0.485)
"""Cardiothoracic ratio of a normal heart; above 0.5 it is enlarged."""


@dataclass(frozen=True)
class Anatomy:
    """One patient's measures, in fractions of the frame unless a comment states otherwise.

    Findings that change shapes (a large heart, a raised dome) return a copy with other measures.
    """

    half_width: float = 0.335  # midline to the inner chest wall, at its widest
    apex: float = 0.105  # top of the lungs
    right_dome: float = 0.70
    left_dome: float = 0.72
    dome_depth: float = 0.09  # costophrenic angle below the dome's top
    heart_ratio: float = 0.44  # heart width over thorax width
    heart_right_fraction: float = 0.34  # fraction of the heart right of the spine
    heart_shift: float = 0.0
    aortic_knob: float = 0.022  # bulge beyond the mediastinal border
    mediastinum: float = 0.05  # half width at the aortic arch
    air: float = 0.64  # attenuation that the lungs take away
    vessels: float = 0.14  # attenuation of a hilar vessel
    thickness: float = 1.0  # soft tissue, 1 for average build
    trunk_width: float = 0.42
    breasts: float = 0.0  # 0 none to 1 large
    rib_contrast: float = 0.10
    rib_slope: float = 0.06
    rib_phase: float = 0.0
    clavicle: float = 0.155
    rotation: float = 0.0  # about the body's axis, -1 to 1
    arms: float = 0.5  # distance of the arms from the trunk, 0 to 1
    stomach: float = 0.0  # width of the gastric bubble, 0 for none
    spine_bend: float = 0.0

    def dome(self, side: int) -> float:
        """Height of the diaphragm's top on one side."""
        return self.right_dome if side == RIGHT else self.left_dome

    def angle(self, side: int) -> float:
        """Height of the costophrenic angle on one side."""
        return self.dome(side) + self.dome_depth

    def with_dome_moved(self, side: int, change: float) -> "Anatomy":
        """Return a copy whose dome on one side is lower by ``change`` (higher if negative)."""
        if side == RIGHT:
            return replace(self, right_dome=self.right_dome + change)
        return replace(self, left_dome=self.left_dome + change)

    @property
    def heart_borders(self) -> tuple[float, float]:
        """``x`` of the heart's right (negative) and left border."""
        width, right = 2 * self.half_width * self.heart_ratio, self.heart_right_fraction
        return self.heart_shift - width * right, self.heart_shift + width * (1 - right)


def sample_anatomy(generator: np.random.Generator, age: int, sex: str) -> Anatomy:
    """Draw the measures of a normal chest; age and sex change them only a little.

    Args:
        generator: The patient's random stream for the anatomy.
        age: Age in years.
        sex: ``"M"`` or ``"F"``.
    """
    draw = generator.uniform
    years = (age - 50) / 50
    female = sex == "F"
    right_dome = draw(0.64, 0.755)
    return Anatomy(
        half_width=draw(0.315, 0.355) - 0.008 * female,
        apex=draw(0.085, 0.13),
        right_dome=right_dome,
        left_dome=right_dome
        + draw(0.0, 0.035)
        - (draw(0.02, 0.06) if draw() < 0.12 else 0.0),  # a high dome alone is normal
        dome_depth=draw(0.075, 0.115),
        heart_ratio=min(draw(*_NORMAL_HEART_RATIO) + 0.01 * years, 0.49),
        heart_right_fraction=draw(0.28, 0.40),
        heart_shift=draw(-0.01, 0.01),
        aortic_knob=draw(0.010, 0.026) + 0.008 * max(years, 0),
        mediastinum=draw(0.042, 0.058),
        air=draw(0.54, 0.70),
        vessels=draw(0.08, 0.13),
        thickness=draw(0.85, 1.2),
        trunk_width=draw(0.40, 0.47),
        breasts=float(female) * draw(0.0, 1.0) if draw() < 0.8 else 0.0,
        rib_contrast=draw(0.085, 0.13) - 0.015 * max(years, 0),
        rib_slope=draw(0.045, 0.085),
        rib_phase=draw(-0.015, 0.015),
        clavicle=draw(0.14, 0.185),
        arms=draw(),
        stomach=draw(0.05, 0.10) if draw() < 0.45 else 0.0,
        spine_bend=generator.normal(0.0, 0.006),
    )


def vary_visit(anatomy: Anatomy, generator: np.random.Generator, view: str) -> Anatomy:
    """Change the depth of breath and the rotation for one visit; an AP view widens the heart and raises the domes."""
    breath = generator.normal(0.0, 0.018) - (0.02 if view == "AP" else 0.0)
    rotation = float(np.clip(generator.normal(0.0, 0.35), -1, 1))
    return replace(
        anatomy,
        right_dome=anatomy.right_dome + breath,
        left_dome=anatomy.left_dome + breath,
        heart_ratio=min(anatomy.heart_ratio + (0.012 if view == "AP" else 0.0), 0.495),
        heart_shift=anatomy.heart_shift + 0.012 * rotation,
        rotation=rotation,
        arms=generator.uniform(),
    )


def wall_distance(anatomy: Anatomy, y: np.ndarray | float) -> np.ndarray:
    """Distance from the midline to the inner chest wall at height ``y``."""
    heights = np.array([0.0, 0.02, 0.06, 0.12, 0.20, 0.32, 0.46, 0.60, 0.80, 1.0])
    widths = np.array([0.36, 0.47, 0.64, 0.75, 0.84, 0.92, 0.97, 1.0, 1.0, 0.97])
    return np.asarray(np.interp(y, anatomy.apex + heights * (0.82 - anatomy.apex) / 0.72, widths) * anatomy.half_width)


def dome_curve(anatomy: Anatomy, side: int, inner: float = 0.05) -> Points:
    """Curve of the diaphragm from the costophrenic angle to the midline."""
    top, angle = anatomy.dome(side), anatomy.angle(side)
    depth = angle - top
    outer = float(wall_distance(anatomy, angle))
    shape = ((1, 1.0), (0.93, 0.55), (0.8, 0.2), (0.6, 0.02), (0.45, 0.0), (0.25, 0.1), (0.0, 0.32))
    return smooth_curve([(side * (inner + part * (outer - inner)), top + drop * depth) for part, drop in shape])


def lung_outline(anatomy: Anatomy, side: int) -> Points:
    """Outline of one lung, down to the diaphragm; the heart lies in front of its inner part."""
    apex = anatomy.apex
    inner = [(0.045, 0.40), (0.042, 0.30), (0.045, apex + 0.09), (0.06, apex + 0.035), (0.085, apex + 0.01)]
    heights = np.linspace(apex + 0.06, anatomy.angle(side), 7)[:-1]
    outer = [(0.13, apex), (0.175, apex + 0.018), *zip(wall_distance(anatomy, heights), heights, strict=True)]
    angle = anatomy.angle(side)
    rim = smooth_curve([*inner, *outer, (float(wall_distance(anatomy, angle)), angle)])
    return np.concatenate([rim * np.array([side, 1.0]), dome_curve(anatomy, side)])


def heart_outline(anatomy: Anatomy) -> Points:
    """Outline of the heart, which points to the left and rests on the domes."""
    right, left = anatomy.heart_borders
    base = 0.5 * (anatomy.right_dome + anatomy.left_dome) + 0.03
    top = base - 0.36
    leftward = [(0.40, 0.07), (0.72, 0.15), (0.93, 0.235), (1.0, 0.305), (0.93, 0.355), (0.6, 0.39), (0.0, 0.40)]
    rightward = [(0.7, 0.38), (1.0, 0.275), (0.93, 0.20), (0.62, 0.125)]
    shift = anatomy.heart_shift
    points = [(shift - 0.035, top), (shift + 0.045, top)]
    points += [(shift + part * (left - shift), top + down) for part, down in leftward]
    points += [(shift + part * (right - shift), top + down) for part, down in rightward]
    return smooth_curve(points, closed=True)


def mediastinum_outline(anatomy: Anatomy) -> Points:
    """Outline of the great vessels from neck to heart: caval border right, aortic knob and pulmonary trunk left."""
    half, knob = anatomy.mediastinum, anatomy.aortic_knob
    shift = 0.7 * anatomy.heart_shift
    left = [
        (0.052, -0.02), (0.042, 0.12), (half - 0.006, 0.20), (half + 0.8 * knob, 0.245), (half + knob, 0.275),
        (half + 0.3 * knob, 0.315), (half + 0.004, 0.345), (half + 0.018, 0.39), (half + 0.02, 0.47), (0.05, 0.62),
    ]  # fmt: skip
    right = [
        (-0.04, 0.62),
        (-half - 0.004, 0.45),
        (-half - 0.003, 0.35),
        (-half + 0.004, 0.25),
        (-0.042, 0.14),
        (-0.052, -0.02),
    ]
    outline = np.concatenate([smooth_curve(left), smooth_curve(right)])
    outline[:, 0] += shift
    return outline


def hilum_center(anatomy: Anatomy, side: int) -> tuple[float, float]:
    """Center of the lung root; the left one lies a little higher."""
    return side * (anatomy.mediastinum + 0.028) + 0.5 * anatomy.heart_shift, 0.405 if side == RIGHT else 0.385
