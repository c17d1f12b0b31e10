"""The callbacks, launchers, sweepers and samplers that a configuration may name, and the values of their settings.

Each may have the settings that are listed here; whatever runs a command, imports a name or reads pickles from
elsewhere is not among them.
"""

from collections.abc import Mapping

_NULL, _TRUE_OR_FALSE = "null", "True|False|true|false"
_UP_TO_999, _UP_TO_99999 = r"[0-9]{1,3}", r"[0-9]{1,5}"
_FROM_1_TO_999, _FROM_1_TO_99999 = r"[1-9][0-9]{0,2}", r"[1-9][0-9]{0,4}"
"""Of what would be endless, or nothing, if it were 0."""
_INTEGER_OR_NULL = rf"null|-?{_UP_TO_99999}"
_NUMBER = r"-?([0-9]{1,10}(\.[0-9]{0,20})?|\.[0-9]{1,20})(e[+-]?[0-9]{1,3})?"
_NUMBER_OR_NULL = f"null|{_NUMBER}"
_SEED = r"null|[0-9]{1,10}"
_TEXT = r"null|[\w .,:=@%+*|&()\[\]/-]{0,200}"
"""Text on one line without what a shell or sbatch reads as more than that."""
FOLDER = "folder of the sweep"
"""Stands for the path of the files of jobs in the sweep's folder."""
NO_ITEMS = "no items"
"""Stands for null and empty lists."""
PARAMETERS = "parameters"
"""Stands for what a sweeper searches."""
SQLITE = "sqlite:///"
"""Start of the URL of a database in a file."""
STORAGE = rf"null|{SQLITE}[^?]{{1,500}}"
"""Where Optuna stores a study: a redis database is read as pickles; others reach other machines."""

_SUBMITIT: Mapping[str, str] = {
    "submitit_folder": FOLDER,
    "timeout_min": _UP_TO_99999,
    "cpus_per_task": _INTEGER_OR_NULL,
    "gpus_per_node": _INTEGER_OR_NULL,
    "tasks_per_node": _FROM_1_TO_99999,
    "mem_gb": _NUMBER_OR_NULL,
    "nodes": _FROM_1_TO_99999,
    "name": _TEXT,
    "stderr_to_stdout": _TRUE_OR_FALSE,
}
_TPE: Mapping[str, str] = {
    "seed": _SEED,
    "consider_prior": _TRUE_OR_FALSE,
    "prior_weight": _NUMBER,
    "consider_magic_clip": _TRUE_OR_FALSE,
    "consider_endpoints": _TRUE_OR_FALSE,
    "n_startup_trials": _UP_TO_99999,
}
LAUNCHERS: Mapping[str, Mapping[str, str]] = {
    "hydra._internal.core_plugins.basic_launcher.BasicLauncher": {},
    "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher": {
        "n_jobs": f"-?{_FROM_1_TO_999}",
        "backend": "null|loky",
        "prefer": "processes|threads",
        "require": "null|sharedmem",
        "verbose": _UP_TO_99999,
        "timeout": _NUMBER_OR_NULL,
        "pre_dispatch": r"all|([1-9][0-9]{0,2}\*)?n_jobs|[1-9][0-9]{0,4}",  # joblib evaluates it
        "batch_size": f"auto|{_FROM_1_TO_99999}",
        "temp_folder": _NULL,  # joblib reads pickles there
        "max_nbytes": r"null|[0-9]{1,12}[KMG]?",
        "mmap_mode": r"null|r\+?|w\+|c",
    },
    "hydra_plugins.hydra_submitit_launcher.submitit_launcher.LocalLauncher": _SUBMITIT,
    "hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher": {
        **_SUBMITIT,
        **dict.fromkeys(("partition", "qos", "comment", "constraint", "exclude", "gres", "account"), _TEXT),
        **dict.fromkeys(("mem_per_gpu", "mem_per_cpu"), r"null|[0-9]{1,12}[KMGT]?B?"),
        "cpus_per_gpu": _INTEGER_OR_NULL,
        "gpus_per_task": _INTEGER_OR_NULL,
        "signal_delay_s": _UP_TO_99999,
        "max_num_timeout": _UP_TO_99999,
        "array_parallelism": _UP_TO_99999,
        "additional_parameters": NO_ITEMS,  # such as `wrap`, which is a command
        "setup": NO_ITEMS,  # commands
    },
}
GRID = "optuna.samplers.GridSampler"
CMA_ES = "optuna.samplers.CmaEsSampler"
"""Sampler that keeps its state as a pickle in the study, and reads it from there."""
SAMPLERS: Mapping[str, Mapping[str, str]] = {
    "optuna.samplers.TPESampler": {
        **_TPE,
        "n_ei_candidates": _FROM_1_TO_999,
        "multivariate": _TRUE_OR_FALSE,
        "warn_independent_sampling": _TRUE_OR_FALSE,
    },
    "optuna.samplers.MOTPESampler": {**_TPE, "n_ehvi_candidates": _FROM_1_TO_999},
    "optuna.samplers.RandomSampler": {"seed": _SEED},
    GRID: {"_partial_": _TRUE_OR_FALSE},
    CMA_ES: {
        "seed": _SEED,
        "x0": NO_ITEMS,
        "sigma0": _NUMBER_OR_NULL,
        "independent_sampler": _NULL,
        "warn_independent_sampling": _TRUE_OR_FALSE,
        "consider_pruned_trials": _TRUE_OR_FALSE,
        "restart_strategy": "null|ipop|bipop",
        "inc_popsize": _FROM_1_TO_99999,
        "use_separable_cma": _TRUE_OR_FALSE,
        "source_trials": _NULL,
    },
    "optuna.samplers.NSGAIISampler": {
        "seed": _SEED,
        "population_size": r"[2-9]|[1-9][0-9]{1,4}",
        "mutation_prob": _NUMBER_OR_NULL,
        "crossover_prob": _NUMBER,
        "swapping_prob": _NUMBER,
        "constraints_func": _NULL,
    },
}
BASIC_SWEEPER = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"
SWEEPERS: Mapping[str, Mapping[str, str]] = {
    BASIC_SWEEPER: {"max_batch_size": f"null|{_FROM_1_TO_99999}", "params": PARAMETERS},
    "hydra_plugins.hydra_optuna_sweeper.optuna_sweeper.OptunaSweeper": {
        "direction": "(?i)minimize|maximize",
        "storage": STORAGE,
        "study_name": _TEXT,
        "n_trials": _FROM_1_TO_99999,
        "n_jobs": _FROM_1_TO_999,
        "max_failure_rate": _NUMBER,
        "search_space": NO_ITEMS,  # of Hydra 1.1; `params` is checked
        "params": PARAMETERS,
        "custom_search_space": _NULL,  # a function
    },
}
CALLBACKS: Mapping[str, Mapping[str, str]] = {
    "cxr_lightning.app.sweep.RememberFolder": {},
    "hydra.experimental.callbacks.LogJobReturnCallback": {},
}
