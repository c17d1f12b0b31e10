"""Which of a DICOM file's windows is used: the first that does not clip most of the film."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

MAX_ONE_END, MAX_BOTH_ENDS = 0.5, 0.8
"""Fractions of the film at one end of the scale, and at both, above which a window clips most of it."""
_MIN_CLIPPED_SPREAD = 0.5
"""Spread of the clipped values, in widths of the window, from which on they are no even border."""
_MIN_INNER = 0.01
"""Fraction of the pixels below which an image has too few gray values to judge a window by."""
_MAX_TOO_WIDE = 4
"""Width of a window, in ranges of all possible values, from which on the window is of another scale."""
_MAX_WINDOWS = 16
"""Maximum number of windows that are tried."""

ApplyWindow = Callable[[NDArray[np.float64], int], NDArray[np.uint8]]
"""Values ``(N,)`` and a window's number to gray levels ``(N,)``."""


def choose_window(
    values: NDArray[np.float64], widths: list[float], value_range: float, apply: ApplyWindow
) -> int | None:
    """Number of the first window that shows most of the film; None if no window does.

    Pixels of the lowest and the highest value are not looked at (borders, letters and saturated areas may be many), nor
    clipped ones whose values are nearly all the same.

    Args:
        values: Rescaled values of some of the film's pixels, without padding, ``(N,)``.
        widths: Width of each window.
        value_range: Range of the values that the film's bits can have; infinity if it is unknown.
        apply: Applies a window.
    """
    numbers = range(min(len(widths), _MAX_WINDOWS))
    if not values.size:
        return 0
    inner = values[(values > values.min()) & (values < values.max())]
    if inner.size <= _MIN_INNER * values.size:
        return 0
    return next((n for n in numbers if _shows_most(inner, apply(inner, n), widths[n], value_range)), None)


def _shows_most(values: NDArray[np.float64], levels: NDArray[np.uint8], width: float, value_range: float) -> bool:
    if width >= _MAX_TOO_WIDE * value_range:
        return False
    ends = [levels == 0, levels == 255]
    borders = [end for end in ends if end.any() and not _is_spread(values[end], width)]
    film = np.ones(values.shape, bool) if not borders else ~np.logical_or.reduce(borders)
    fractions = [(end & film).sum() / max(1, film.sum()) for end in ends]
    return bool(max(fractions) <= MAX_ONE_END and sum(fractions) <= MAX_BOTH_ENDS)


def _is_spread(values: NDArray[np.float64], width: float) -> bool:
    low, high = np.quantile(values, [0.1, 0.9])
    return bool(high - low > _MIN_CLIPPED_SPREAD * width)
