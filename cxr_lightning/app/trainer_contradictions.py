"""Settings of Lightning's trainer that contradict each other, or would be ignored."""

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from cxr_lightning.app.number_rules import is_number
from cxr_lightning.utils.suggestions import did_you_mean

if TYPE_CHECKING:
    from cxr_lightning.app.train_settings import TrainSettings

GIVEN_BY_PROGRAM: Mapping[str, str] = {
    "callbacks": "they are chosen with 'callbacks'",
    "logger": "loggers are chosen with 'logger'",
    "plugins": "they are this program's",
    "use_distributed_sampler": "the data have samplers of their own",
}
"""Why the settings of the trainer have none of the arguments that the program gives it (``training/build.py``)."""
STRATEGIES = (
    "auto",
    *(
        f"ddp{start}{unused}"
        for start in ("", "_spawn", "_fork", "_notebook")
        for unused in ("", "_find_unused_parameters_false", "_find_unused_parameters_true")
    ),
    *("deepspeed", *(f"deepspeed_stage_{stage}" for stage in ("1", "2", "2_offload", "3", "3_offload"))),
    *("deepspeed_stage_3_offload_nvme", "fsdp", "fsdp_cpu_offload"),
    *("single_device", "single_xla", "xla", "xla_debug", "single_tpu"),
)
"""Lightning's names of strategies."""
_WORDS: Mapping[str, tuple[str, ...]] = {
    "accelerator": ("auto", "cpu", "gpu", "cuda", "mps", "tpu"),
    "strategy": STRATEGIES,
    "profiler": ("simple", "advanced", "pytorch"),
    "gradient_clip_algorithm": ("norm", "value"),
}
"""The words that arguments of the trainer take."""
_IN_ANY_CASE = ("strategy", "profiler", "gradient_clip_algorithm")
"""Arguments whose words Lightning takes in upper case too."""
_MAX_LISTED = 8
"""Number of words up to which all are listed."""
_DURATION = re.compile(r"\d+:\d\d:\d\d:\d\d")


def trainer_contradictions(settings: "TrainSettings") -> Iterator[str]:
    """Describe settings of the trainer that contradict each other, or would be ignored.

    Args:
        settings: The settings, whose nodes may have values of a wrong type.
    """
    trainer = settings.trainer
    for name, reason in GIVEN_BY_PROGRAM.items():
        if trainer.get(name) is not None:
            yield f"Expected no `trainer.{name}` but got {trainer[name]}: {reason}. Leave it out."
    for unit in ("epochs", "steps"):
        least, most = trainer.get(f"min_{unit}"), trainer.get(f"max_{unit}")
        if is_number(least) and is_number(most) and least > most >= 1:
            yield (
                f"Expected `trainer.min_{unit}` to be at most `trainer.max_{unit}`, {most}, but got {least}. Lower it."
            )
    if trainer.get("gradient_clip_algorithm") is not None and not trainer.get("gradient_clip_val"):
        yield (
            "Expected `trainer.gradient_clip_val` beside `trainer.gradient_clip_algorithm` but got none. Set both, or "
            "neither."
        )
    if trainer.get("overfit_batches") and trainer.get("limit_val_batches") == 0:
        yield (
            "Expected `trainer.overfit_batches` or 'trainer.limit_val_batches=0' but got both: the same batches are "
            "validated. Leave one out."
        )
    yield from _unknown_words(trainer)
    yield from _time_limits(settings)


def _unknown_words(trainer: Mapping[str, Any]) -> Iterator[str]:
    for name, known in _WORDS.items():
        word = trainer.get(name)
        if isinstance(word, str) and (word.lower() if name in _IN_ANY_CASE else word) not in known:
            listed = f"one of {', '.join(known)}" if len(known) <= _MAX_LISTED else "a name of Lightning's"
            hint = did_you_mean(word, known) or "Correct the value."
            yield f"Expected {listed} as `trainer.{name}` but got {word!r}. {hint}"


def _time_limits(settings: "TrainSettings") -> Iterator[str]:
    limits = {"trainer.max_time": settings.trainer.get("max_time")}
    for name, node in (settings.callbacks or {}).items():
        if isinstance(node, Mapping) and str(node.get("_target_")).endswith(".Timer"):
            limits[f"callbacks.{name}.duration"] = node.get("duration")
    for key, limit in limits.items():
        duration = _duration(limit)
        if duration is not None and duration <= timedelta():
            yield f"Expected a time above 0 as `{key}` but got {limit}. Raise it."


def _duration(limit: Any) -> timedelta | None:  # noqa: ANN401  # any YAML value
    """A time limit as Lightning reads it; None if it is none, which Lightning then refuses."""
    if isinstance(limit, str) and _DURATION.fullmatch(limit.strip()):
        days, hours, minutes, seconds = map(int, limit.split(":"))
        return timedelta(days, hours=hours, minutes=minutes, seconds=seconds)
    try:
        return timedelta(**limit) if isinstance(limit, Mapping) else None
    except (TypeError, OverflowError):
        return None
