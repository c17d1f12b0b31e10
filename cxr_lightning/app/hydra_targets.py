"""Classes that Hydra itself makes from a configuration: callbacks, launchers, sweepers and samplers.

Each may be named with the settings that are listed here; whatever runs a command, imports a name or reads pickles
from elsewhere is not among them.
"""

import re
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import PurePosixPath
from typing import Any

MAX_JOBS = 10_000
"""Bound of the jobs of a sweep."""
MAX_PARAMETER = 10_000
"""Bound of the characters of a parameter of a sweep."""
MAX_PARAMETERS = 200
JOB_FILES = ".submitit"
"""Folder in a sweep's with the files by which submitit starts jobs and reads their results: pickles, which run code."""

_NULL, _SWITCH = "null", "True|False|true|false"
_COUNT = r"[0-9]{1,5}"
_MAYBE_COUNT = rf"null|-?{_COUNT}"
_NUMBER = r"-?[0-9.]{1,20}(e[+-]?[0-9]{1,3})?"
_MAYBE_NUMBER = f"null|{_NUMBER}"
_SEED = r"null|[0-9]{1,10}"
_TEXT = r"null|[\w .,:=@%+*|&()\[\]/-]{0,200}"
"""Text on one line without what a shell or sbatch reads as more than that."""
_FOLDER = "folder of the sweep"
"""Stands for a path within the sweep's folder."""
_NO_ITEMS = "no items"
_PARAMETERS = "parameters"

_SUBMITIT: Mapping[str, str] = {
    "submitit_folder": _FOLDER,
    "timeout_min": _COUNT,
    "cpus_per_task": _MAYBE_COUNT,
    "gpus_per_node": _MAYBE_COUNT,
    "tasks_per_node": _COUNT,
    "mem_gb": _MAYBE_NUMBER,
    "nodes": _COUNT,
    "name": _TEXT,
    "stderr_to_stdout": _SWITCH,
}
_TPE: Mapping[str, str] = {
    "seed": _SEED,
    "consider_prior": _SWITCH,
    "prior_weight": _NUMBER,
    "consider_magic_clip": _SWITCH,
    "consider_endpoints": _SWITCH,
    "n_startup_trials": _COUNT,
}
_LAUNCHERS: Mapping[str, Mapping[str, str]] = {
    "hydra._internal.core_plugins.basic_launcher.BasicLauncher": {},
    "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher": {
        "n_jobs": r"-?[0-9]{1,3}",
        "backend": "null|loky",
        "prefer": "processes|threads",
        "require": "null|sharedmem",
        "verbose": _COUNT,
        "timeout": _MAYBE_NUMBER,
        "pre_dispatch": r"all|([0-9]{1,3}\*)?n_jobs|[0-9]{1,5}",  # joblib evaluates it
        "batch_size": r"auto|[0-9]{1,5}",
        "temp_folder": _NULL,  # joblib reads pickles there
        "max_nbytes": r"null|[0-9]{1,12}[KMG]?",
        "mmap_mode": r"null|r\+?|w\+|c",
    },
    "hydra_plugins.hydra_submitit_launcher.submitit_launcher.LocalLauncher": _SUBMITIT,
    "hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher": {
        **_SUBMITIT,
        **dict.fromkeys(("partition", "qos", "comment", "constraint", "exclude", "gres", "account"), _TEXT),
        **dict.fromkeys(("mem_per_gpu", "mem_per_cpu"), r"null|[0-9]{1,12}[KMGT]?B?"),
        "cpus_per_gpu": _MAYBE_COUNT,
        "gpus_per_task": _MAYBE_COUNT,
        "signal_delay_s": _COUNT,
        "max_num_timeout": _COUNT,
        "array_parallelism": _COUNT,
        "additional_parameters": _NO_ITEMS,  # such as `wrap`, which is a command
        "setup": _NO_ITEMS,  # commands
    },
}
_SAMPLERS: Mapping[str, Mapping[str, str]] = {
    "optuna.samplers.TPESampler": {
        **_TPE,
        "n_ei_candidates": _COUNT,
        "multivariate": _SWITCH,
        "warn_independent_sampling": _SWITCH,
    },
    "optuna.samplers.MOTPESampler": {**_TPE, "n_ehvi_candidates": _COUNT},
    "optuna.samplers.RandomSampler": {"seed": _SEED},
    "optuna.samplers.GridSampler": {"_partial_": _SWITCH},
    "optuna.samplers.CmaEsSampler": {
        "seed": _SEED,
        "x0": _NO_ITEMS,
        "sigma0": _MAYBE_NUMBER,
        "independent_sampler": _NULL,
        "warn_independent_sampling": _SWITCH,
        "consider_pruned_trials": _SWITCH,
        "restart_strategy": "null|ipop|bipop",
        "inc_popsize": _COUNT,
        "use_separable_cma": _SWITCH,
        "source_trials": _NULL,
    },
    "optuna.samplers.NSGAIISampler": {
        "seed": _SEED,
        "population_size": _COUNT,
        "mutation_prob": _MAYBE_NUMBER,
        "crossover_prob": _NUMBER,
        "swapping_prob": _NUMBER,
        "constraints_func": _NULL,
    },
}
BASIC_SWEEPER = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"
_SWEEPERS: Mapping[str, Mapping[str, str]] = {
    BASIC_SWEEPER: {"max_batch_size": r"null|[0-9]{1,5}", "params": _PARAMETERS},
    "hydra_plugins.hydra_optuna_sweeper.optuna_sweeper.OptunaSweeper": {
        "direction": "(?i)minimize|maximize",
        "storage": r"null|sqlite:///[^?\n]{1,500}",  # that of redis reads pickles; others reach other machines
        "study_name": _TEXT,
        "n_trials": _COUNT,
        "n_jobs": r"[0-9]{1,3}",
        "max_failure_rate": _NUMBER,
        "search_space": _NO_ITEMS,  # of Hydra 1.1; `params` is checked
        "params": _PARAMETERS,
        "custom_search_space": _NULL,  # a function
    },
}
_CALLBACKS: Mapping[str, Mapping[str, str]] = {
    "cxr_lightning.app.sweep.RememberFolder": {},
    "hydra.experimental.callbacks.LogJobReturnCallback": {},
}


def check_targets(sections: Mapping[str, Mapping[Any, Any] | None], *, sweep_folder: PurePosixPath) -> None:
    """Refuse callbacks, launchers and sweepers that are not listed, and settings of them that are not.

    Args:
        sections: ``hydra.callbacks``, ``hydra.launcher`` and ``hydra.sweeper``, resolved; None where there is none.
        sweep_folder: The sweep's folder, in which a launcher may leave files.

    Raises:
        ValueError: If there is one; the message names it.
    """
    check = _PartCheck(sweep_folder)
    for name, callback in (sections["callbacks"] or {}).items():
        if callback is not None:
            check.part(f"hydra.callbacks.{name}", callback, _CALLBACKS)
    if (launcher := sections["launcher"]) is not None:
        check.part("hydra.launcher", launcher, _LAUNCHERS)
    if (sweeper := sections["sweeper"]) is not None:
        rest = dict(sweeper)
        sampler = rest.pop("sampler", None)
        if sampler is not None:
            check.part("hydra.sweeper.sampler", sampler, _SAMPLERS)
        check.part("hydra.sweeper", rest, _SWEEPERS)


def check_no_other_targets(hydra: Mapping[Any, Any]) -> None:
    """Refuse a ``_target_`` in a section of Hydra's settings that makes no objects.

    Args:
        hydra: Hydra's settings as plain values, unresolved.

    Raises:
        ValueError: If there is one.
    """
    others = {name: value for name, value in hydra.items() if name not in ("callbacks", "launcher", "sweeper")}
    for key, value in _leaves(others, "hydra"):
        if key.endswith("._target_"):
            raise _not_listed(key, value, ())


class _PartCheck:
    """Checks of the objects that Hydra makes, each by the list of its kind."""

    def __init__(self, sweep_folder: PurePosixPath) -> None:
        self.sweep_folder = sweep_folder

    def part(self, key: str, node: object, kinds: Mapping[str, Mapping[str, str]]) -> None:
        """Check a node: its ``_target_``, and that each of its settings has a value that is listed."""
        if not isinstance(node, Mapping):
            raise ValueError(f"Expected settings with a `_target_` as '{key}' but got {node!r}. Leave it out.")
        target = node.get("_target_")
        rules = kinds.get(target) if isinstance(target, str) else None
        if rules is None:
            raise _not_listed(f"{key}._target_", target, tuple(kinds))
        for name, value in node.items():
            if name == "_target_":
                continue
            if name not in rules:
                raise ValueError(
                    f"Expected no '{key}.{name}' but got {_shown(value)}: it may run other code. Leave it out."
                )
            self._value(f"{key}.{name}", value, rules[name])

    def _value(self, key: str, value: object, rule: str) -> None:
        if rule == _PARAMETERS:
            _check_parameters(key, value)
        elif rule == _NO_ITEMS:
            if value not in (None, [], {}):
                raise ValueError(
                    f"Expected no items in '{key}' but got {_shown(value)}. Other code is not run: leave it out."
                )
        elif rule == _FOLDER:
            if PurePosixPath(str(value)) != self.sweep_folder / JOB_FILES / "%j":
                raise ValueError(
                    f"Expected '{key}' to be a folder in that of the sweep but it is another one: results are read as "
                    "pickles there. Leave it out."
                )
        elif isinstance(value, Mapping | list) or not re.fullmatch(rule, _text(value)):
            raise ValueError(
                f"Expected '{key}' to be like {rule} but got {_shown(value)}. Other code is not run from a "
                "configuration: correct it."
            )


def _check_parameters(key: str, parameters: object) -> None:
    """Check what a sweeper searches: settings of the jobs, not Hydra's."""
    if parameters is None:
        return
    if not isinstance(parameters, Mapping) or len(parameters) > MAX_PARAMETERS:
        raise ValueError(f"Expected at most {MAX_PARAMETERS} settings with their values as '{key}'. Correct it.")
    for name, value in parameters.items():
        if isinstance(value, Mapping | list) or len(f"{name}{value}") > MAX_PARAMETER:
            raise ValueError(f"Expected text of at most {MAX_PARAMETER:,} characters as '{key}.{name}'. Correct it.")
        if re.match(r"[+~]*hydra\b", str(name)):
            raise ValueError(f"Expected a search over settings but got '{key}.{name}'. Leave Hydra's own settings out.")


def _not_listed(key: str, target: object, allowed: tuple[str, ...]) -> ValueError:
    return ValueError(
        f"Expected '{key}' to be one of {list(allowed)} but got {_shown(target)}. Other code is not run from a "
        "configuration."
    )


def _text(value: object) -> str:
    if value is None:
        return "null"
    return value.name if isinstance(value, Enum) else str(value)


def _shown(value: object) -> str:
    text = _text(value)
    return repr(text if len(text) <= 200 else f"{text[:200]}...")


def _leaves(content: object, key: str) -> Iterator[tuple[str, object]]:
    if isinstance(content, Mapping):
        for name, value in content.items():
            yield from _leaves(value, f"{key}.{name}")
    elif isinstance(content, list):
        for index, value in enumerate(content):
            yield from _leaves(value, f"{key}[{index}]")
    else:
        yield key, content
