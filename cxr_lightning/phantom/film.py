"""From attenuation to a film's grey levels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.phantom.canvas import Canvas, Field, Pose


@dataclass(frozen=True)
class Film:
    """One exposure: how attenuation becomes grey, how sharp and how grainy the picture is."""

    gain: float = 1.8
    gamma: float = 1.15
    black: float = 0.0  # grey of no attenuation, 0 to 1
    white: float = 0.96  # grey of complete attenuation
    grain: float = 0.012
    sharpening: float = 0.3  # contrast of fine detail; below 0 softens


def sample_film(generator: np.random.Generator, view: str) -> Film:
    """An exposure; portable (AP) films are a little greyer and grainier."""
    draw = generator.uniform
    washed = draw() < 0.05
    return Film(
        gain=draw(1.25, 2.1),
        gamma=draw(0.9, 1.4),
        black=draw(0.10, 0.22) if washed else draw(0.0, 0.04),
        white=draw(0.62, 0.78) if washed else draw(0.86, 0.98),
        grain=draw(0.004, 0.009) + (0.004 if view == "AP" else 0.0),
        sharpening=draw(-0.1, 0.8),
    )


def sample_pose(generator: np.random.Generator, view: str) -> Pose:
    """Where the patient stands; at the bedside (AP) less carefully placed."""
    loose = 1.15 if view == "AP" else 1.0
    return Pose(
        shift_x=float(np.clip(generator.normal(0.0, 0.032 * loose), -0.08, 0.08)),
        shift_y=float(np.clip(generator.normal(0.01, 0.032 * loose), -0.08, 0.09)),
        scale=generator.uniform(0.92, 1.14),
        tilt=float(np.clip(generator.normal(0.0, 0.028 * loose), -0.08, 0.08)),
    )


def develop(canvas: Canvas, attenuation: Field, film: Film, generator: np.random.Generator) -> Field:
    """Grey in [0, 1] of a film behind the patient, ``(S, S)``."""
    grey = _characteristic_curve(film)[(np.clip(attenuation, 0, 3.99) * np.float32(_STEPS)).astype(np.int32)]
    grey += np.float32(film.sharpening) * (grey - canvas.blurred(grey, 0.016))
    grain = generator.standard_normal((canvas.size, canvas.size), dtype=np.float32)
    grey += grain * (np.float32(film.grain) * (np.float32(0.35) + grey))
    return np.asarray(np.float32(film.black) + np.float32(film.white - film.black) * grey, dtype=np.float32)


_STEPS = 2048


def _characteristic_curve(film: Film) -> Field:
    """Grey at attenuations 0 to 4 in steps finer than one grey level; a table costs a tenth of the power function."""
    passed = np.exp(-film.gain * np.arange(4 * _STEPS) / _STEPS)
    return np.asarray((1 - passed) ** film.gamma, dtype=np.float32)


def to_pixels(grey: Field) -> NDArray[np.uint8]:
    """Grey in [0, 1] as 8-bit pixels."""
    return (np.clip(grey, 0, 1) * np.float32(255) + np.float32(0.5)).astype(np.uint8)
