"""What a metric of the report is, and the registry of all of them.

A metric of this package is a module in ``metrics/reported/`` with a constant ``METRIC``. A package that is trusted by
name (:mod:`cxr_lightning.utils.plugins`) brings its own by calling :func:`register_metric` when it is imported.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules

import numpy as np

from cxr_lightning.metrics import reported
from cxr_lightning.metrics.ranking import FloatArray
from cxr_lightning.utils.plugins import load_plugins

_TAKEN = ("finding", "n", "images", "positives", "prevalence", "calibrated_brier", "calibrated_ece")
_ENDINGS = ("_low", "_high", "_labels")
"""Names, and endings of names, of other columns in tables of findings."""

_registered: dict[str, "ReportMetric"] = {}


@dataclass(frozen=True)
class ReportMetric:
    """A metric that a report shows for each finding, and as a mean over the findings for which it is defined.

    Attributes:
        name: Its key in files: a Python identifier, such as ``average_precision``.
        title: Its heading in tables, such as ``AP``.
        function: From probabilities ``(N,)`` in [0, 1] and targets ``(N,)`` (1, 0 or NaN for unknown) to a number; NaN
            where it is undefined.
        meaning: What it is, as a sentence for readers of the report.
        higher_is_better: Whether a higher value is better.
        format: Format specification of its values.
        interval: Whether it has an interval from a bootstrap over patients.
    """

    name: str
    title: str
    function: Callable[[FloatArray, FloatArray], float]
    meaning: str
    higher_is_better: bool = True
    format: str = ".3f"
    interval: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.isidentifier():
            raise ValueError(f"Expected the name of a metric to be an identifier but got {self.name!r}. Rename it.")
        if self.name in _TAKEN or self.name.endswith(_ENDINGS):
            raise ValueError(
                f"Expected a name that is no other column of metrics.csv but got {self.name!r}. Rename the metric."
            )
        for field in ("title", "meaning"):
            if not isinstance(getattr(self, field), str):
                raise ValueError(
                    f"Expected text as the {field} of the metric '{self.name}' but got {getattr(self, field)!r}."
                )
        try:
            format(0.5, self.format)
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"Expected a format of numbers such as '.3f' for the metric '{self.name}' but got {self.format!r}."
            ) from error

    def value(self, label: str, probabilities: FloatArray, targets: FloatArray) -> float:
        """The metric of one finding.

        Args:
            label: The finding, for errors.
            probabilities: ``(N,)`` in [0, 1], or NaN for a finding without probabilities, for which it is undefined.
            targets: ``(N,)``; 1, 0 or NaN (unknown).

        Raises:
            ValueError: If the function fails, or returns no number or an infinite one.
        """
        if np.isnan(probabilities).any():
            return math.nan
        try:
            value = float(self.function(_read_only(probabilities), _read_only(targets)))
        except (Exception, SystemExit) as error:  # somebody else's code may fail in any way
            raise ValueError(
                f"Expected a number from the metric '{self.name}' for {label} but its function fails "
                f"({type(error).__name__}: {error}). It must return NaN where it is undefined."
            ) from error
        if math.isinf(value):
            raise ValueError(
                f"Expected a finite number or NaN from the metric '{self.name}' for {label} but got {value}. "
                "Return NaN where it is undefined."
            )
        return value

    def format_value(self, value: float) -> str:
        """A value as text; ``n/a`` where it is undefined."""
        return "n/a" if math.isnan(value) else format(value, self.format)


def _read_only(array: FloatArray) -> FloatArray:
    """A view that cannot be written to: a function that sorts in place would change what others read."""
    view = array.view()
    view.flags.writeable = False
    return view


def register_metric(metric: ReportMetric) -> ReportMetric:
    """Add a metric to all reports, and return it.

    Raises:
        ValueError: If another metric has its name.
    """
    known = _registered.get(metric.name)
    if metric.name in _built_in() or (known is not None and _home(known) != _home(metric)):
        raise ValueError(f"Expected metrics with different names but two have the name '{metric.name}'. Rename one.")
    _registered[metric.name] = metric  # also in place of itself, where a package is imported again
    return metric


def report_metrics() -> tuple[ReportMetric, ...]:
    """All metrics: those of this package by name, then those of trusted packages as registered."""
    load_plugins()
    return (*_built_in().values(), *_registered.values())


def _home(metric: ReportMetric) -> tuple[str, str]:
    """Module and name of a metric's function."""
    return str(metric.function.__module__), str(getattr(metric.function, "__qualname__", metric.function))


def _built_in() -> dict[str, ReportMetric]:
    modules = (import_module(f"{reported.__name__}.{module.name}") for module in iter_modules(reported.__path__))
    metrics: list[ReportMetric] = [module.METRIC for module in modules]
    return {metric.name: metric for metric in metrics}
