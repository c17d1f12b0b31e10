"""The choices of a sweep's overrides, so that each choice of files is composed and checked before the first job."""

import math
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from omegaconf import DictConfig, OmegaConf

from cxr_lightning.app.composition import check_lengths
from cxr_lightning.app.hydra_target_lists import BASIC_SWEEPER, GRID
from cxr_lightning.utils.unexpected import message_of

MAX_JOBS = 10_000
"""Maximum number of jobs of a sweep."""
_MAX_SHOWN = 10**12
_MAX_TEXTS = 50
"""Maximum number of alternatives of a setting that are composed before the start; each job's are when it starts."""


def parse_overrides(texts: Sequence[str]) -> list[Override]:
    """Parse overrides as on the command line; Hydra is initialized already.

    Args:
        texts: The overrides.

    Raises:
        ValueError: If one is too long or too deep, or holds a number that is too long.
        HydraException: If one is no override.
    """
    check_lengths(texts)
    loader = GlobalHydra.instance().config_loader()
    try:
        return OverridesParser.create(config_loader=loader).parse_overrides(list(texts))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"Expected settings as KEY=VALUE but: {message_of(error)}. Shorten the value.") from error


def sweeper_overrides(config: DictConfig, given: Sequence[Override]) -> list[Override]:
    """Parse the overrides that a sweeper's own parameters make of its jobs, beside those of the command line.

    Args:
        config: The composed configuration, with Hydra's.
        given: Overrides of the command line.
    """
    node = OmegaConf.select(config, "hydra.sweeper.params")
    parameters: Any = {} if node is None else OmegaConf.to_container(node, resolve=True)
    keys = {override.get_key_element() for override in given}
    parsed = parse_overrides([f"{key}={value}" for key, value in parameters.items()])  # as the sweepers write it
    if wrong := next((one for one in parsed if one.is_hydra_override() or one.key_or_group == "hydra"), None):
        raise ValueError(
            f"Expected a search over settings but got '{wrong.input_line}' in 'hydra.sweeper.params'. Leave Hydra's "
            "own settings out."
        )
    return [override for override in parsed if override.get_key_element() not in keys]


def check_number_of_jobs(config: DictConfig, overrides: Sequence[Override]) -> None:
    """Refuse a sweep of more jobs than anybody waits for, before they are listed.

    Args:
        config: The composed configuration, with Hydra's.
        overrides: What the sweep sets.

    Raises:
        ValueError: If there are more than ``MAX_JOBS``.
    """
    targets = [OmegaConf.select(config, f"hydra.sweeper.{key}_target_") for key in ("", "sampler.")]
    is_grid = targets[0] == BASIC_SWEEPER or targets[1] == GRID
    counts: Mapping[str, int] = {one.get_key_element(): _count(one) for one in overrides if is_grid or _is_listed(one)}
    jobs = max(counts.values(), default=1)  # lists are made of all values, also where another one is empty
    if is_grid:
        jobs = max(jobs, math.prod(counts.values()))
    if jobs > MAX_JOBS:
        largest = max(counts, key=lambda key: counts[key])
        raise ValueError(
            f"Expected a sweep of at most {MAX_JOBS:,} jobs but got {_shown(jobs)}: {_shown(counts[largest])} values "
            f"of '{largest}'. Give fewer values."
        )
    trials = OmegaConf.select(config, "hydra.sweeper.n_trials")
    if trials is not None and int(trials) > MAX_JOBS:
        raise ValueError(
            f"Expected at most {MAX_JOBS:,} as 'hydra.sweeper.n_trials' but got {int(trials):,}. Lower it."
        )


def single_jobs(overrides: Sequence[Override]) -> Iterator[list[str]]:
    """Overrides of single jobs that together contain every choice of a sweep.

    Args:
        overrides: What the sweep sets.
    """
    choices = [alternatives for override in overrides if (alternatives := list(_alternatives(override)))]
    first_choices = [alternatives[0] for alternatives in choices]
    yield first_choices
    for index, alternatives in enumerate(choices):
        for choice in alternatives[1:]:
            yield [*first_choices[:index], choice, *first_choices[index + 1 :]]


def selects_files(overrides: Sequence[Override]) -> bool:
    """Whether overrides may choose among files, or set text, which could name code."""
    return any(not _is_number(text.partition("=")[2]) for override in overrides for text in _alternatives(override))


def _alternatives(override: Override) -> Iterator[str]:
    """The alternatives of an override; of numbers only the first, since they select no files."""
    if not override.is_sweep_override():
        yield str(override.input_line)
        return
    key = override.get_key_element()
    if not override.is_choice_sweep():
        yield f"{key}={override.value().start}"  # type: ignore[union-attr]
        return
    texts = list(dict.fromkeys(override.sweep_string_iterator()))
    texts = [text for index, text in enumerate(texts) if index == 0 or not _is_number(text)]
    is_group = "." not in override.key_or_group
    yield from (f"{key}={text}" for text in (texts if is_group else texts[:_MAX_TEXTS]))


def _shown(number: int) -> str:
    return f"{number:,}" if number < _MAX_SHOWN else f"more than {_MAX_SHOWN:,}"


def _is_listed(override: Override) -> bool:
    """Whether any sweeper makes a list of an override's values; Optuna draws from most ranges without one."""
    value = override.value()
    return override.is_choice_sweep() or (isinstance(value, RangeSweep) and value.shuffle)


def _count(override: Override) -> int:
    """Number of an override's values, without listing those of a range; an interval of integers is a range."""
    if not override.is_sweep_override():
        return 1
    value = override.value()
    if isinstance(value, IntervalSweep):
        start, end = value.start, value.end
        return max(0, end - start) if isinstance(start, int) and isinstance(end, int) else 1
    if not isinstance(value, RangeSweep):
        return sum(1 for _ in override.sweep_iterator())
    numbers = [number for number in (value.start, value.stop, value.step) if number is not None]
    if len(numbers) < 3 or not all(map(math.isfinite, numbers)) or value.step == 0:
        raise ValueError(f"Expected a range with an end and a step but got '{override.input_line}'. Correct it.")
    first, stop, step = map(Decimal, numbers)
    return max(0, math.ceil((stop - first) / step))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
