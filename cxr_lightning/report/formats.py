"""Formats of numbers and texts in tables, figures and pages; ``n/a`` for what is undefined."""

import math
from decimal import Decimal

from cxr_lightning.metrics.bootstrap import Estimate
from cxr_lightning.metrics.report_metric import ReportMetric


def format_number(value: float, digits: int = 3) -> str:
    """Format a number with fixed decimals; ``n/a`` where it is undefined.

    Example:
        >>> format_number(0.81234), format_number(float("nan"))
        ('0.812', 'n/a')
    """
    return "n/a" if math.isnan(value) else f"{value:.{digits}f}"


def csv_number(value: float) -> Decimal | str:
    """A number as a cell of a CSV file, with six significant digits; ``n/a`` where it is undefined.

    Example:
        >>> print(csv_number(0.8123456789), csv_number(1e-9), csv_number(float("nan")))
        0.812346 1E-9 n/a
    """
    return Decimal(f"{value:.6g}") if math.isfinite(value) else "n/a" if math.isnan(value) else str(value)


def format_estimate(estimate: Estimate, digits: int = 3) -> str:
    """Format a number with its interval; ``n/a`` for what is undefined.

    Example:
        >>> format_estimate(Estimate(0.81234, 0.8, 0.82)), format_estimate(Estimate(0.5)), format_estimate(Estimate())
        ('0.812 [0.800, 0.820]', '0.500 [n/a]', 'n/a')
    """
    if math.isnan(estimate.value):
        return format_number(estimate.value)
    if math.isnan(estimate.low) or math.isnan(estimate.high):
        return f"{format_number(estimate.value, digits)} [n/a]"
    value, low, high = (format_number(end, digits) for end in (estimate.value, estimate.low, estimate.high))
    return f"{value} [{low}, {high}]"


def format_metric(metric: ReportMetric, estimate: Estimate) -> str:
    """Format a value of a metric of the report, with its interval where it has one; ``n/a`` for what is undefined."""
    if not metric.interval or math.isnan(estimate.value):
        return metric.format_value(estimate.value)
    if math.isnan(estimate.low) or math.isnan(estimate.high):
        return f"{metric.format_value(estimate.value)} [n/a]"
    value, low, high = (metric.format_value(end) for end in (estimate.value, estimate.low, estimate.high))
    return f"{value} [{low}, {high}]"


def format_signed(value: float) -> str:
    """Format a difference with its sign; ``n/a`` where it is undefined.

    Example:
        >>> format_signed(0.0123), format_signed(-0.5), format_signed(float("nan"))
        ('+0.012', '-0.500', 'n/a')
    """
    return "n/a" if math.isnan(value) else f"{value:+.3f}"


def format_percent(value: float) -> str:
    """Format a fraction as a percentage with three significant digits; ``n/a`` where it is undefined.

    Example:
        >>> format_percent(0.0256), format_percent(0.5), format_percent(float("nan"))
        ('2.56 %', '50 %', 'n/a')
    """
    return "n/a" if math.isnan(value) else f"{100 * value:.3g} %"


def format_threshold(value: float) -> str:
    """Format a threshold with four significant digits; ``n/a`` where it is undefined.

    Example:
        >>> format_threshold(0.03125), format_threshold(0.00001234)
        ('0.03125', '1.234e-05')
    """
    return "n/a" if math.isnan(value) else f"{value:.4g}"
