"""Conversion of attenuation to the gray levels of a film."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.phantom.canvas import Canvas, FloatImage, Pose


@dataclass(frozen=True)
class Film:
    """Properties of one exposure: its characteristic curve, sharpness and grain."""

    gain: float = 1.8
    gamma: float = 1.15
    black: float = 0.0  # gray level of no attenuation, 0 to 1
    white: float = 0.96  # gray level of complete attenuation
    grain: float = 0.012
    sharpening: float = 0.3  # contrast of fine detail; below 0 softens


def sample_film(generator: np.random.Generator, view: str) -> Film:
    """Draw an exposure; portable (AP) films are a little grayer and grainier."""
    draw = generator.uniform
    washed_out = draw() < 0.05
    return Film(
        gain=draw(1.25, 2.1),
        gamma=draw(0.9, 1.4),
        black=draw(0.10, 0.22) if washed_out else draw(0.0, 0.04),
        white=draw(0.62, 0.78) if washed_out else draw(0.86, 0.98),
        grain=draw(0.004, 0.009) + (0.004 if view == "AP" else 0.0),
        sharpening=draw(-0.1, 0.8),
    )


def sample_pose(generator: np.random.Generator, view: str) -> Pose:
    """Draw a position of the patient, with a wider spread at the bedside (AP)."""
    spread = 1.15 if view == "AP" else 1.0
    return Pose(
        shift_x=float(np.clip(generator.normal(0.0, 0.032 * spread), -0.08, 0.08)),
        shift_y=float(np.clip(generator.normal(0.01, 0.032 * spread), -0.08, 0.09)),
        scale=generator.uniform(0.92, 1.14),
        tilt=float(np.clip(generator.normal(0.0, 0.028 * spread), -0.08, 0.08)),
    )


def develop(canvas: Canvas, attenuation: FloatImage, film: Film, generator: np.random.Generator) -> FloatImage:
    """Gray levels in [0, 1] of a film behind the patient, ``(S, S)``."""
    gray = _characteristic_curve(film)[(np.clip(attenuation, 0, 3.99) * np.float32(_STEPS)).astype(np.int32)]
    gray += np.float32(film.sharpening) * (gray - canvas.blurred(gray, 0.016))
    grain = generator.standard_normal((canvas.size, canvas.size), dtype=np.float32)
    gray += grain * (np.float32(film.grain) * (np.float32(0.35) + gray))
    return np.asarray(np.float32(film.black) + np.float32(film.white - film.black) * gray, dtype=np.float32)


_STEPS = 2048


def _characteristic_curve(film: Film) -> FloatImage:
    """Gray levels at attenuations 0 to 4, finer than one 8-bit step; a table costs a tenth of the power function."""
    transmitted = np.exp(-film.gain * np.arange(4 * _STEPS) / _STEPS)
    return np.asarray((1 - transmitted) ** film.gamma, dtype=np.float32)


def to_uint8(gray: FloatImage) -> NDArray[np.uint8]:
    """Convert gray levels in [0, 1] to 8-bit pixels."""
    return (np.clip(gray, 0, 1) * np.float32(255) + np.float32(0.5)).astype(np.uint8)
