"""Settings of callbacks that contradict the length of a training, so that they would never do anything.

Which class a callback is of, is read from the sources, without importing torch.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard

from cxr_lightning.app.written_arguments import is_written_subclass

if TYPE_CHECKING:
    from cxr_lightning.app.train_settings import TrainSettings

_LIGHTNING = "pytorch_lightning.callbacks"
_ACCUMULATION = f"{_LIGHTNING}.GradientAccumulationScheduler"
_BEST_CHECKPOINT = "cxr_lightning.training.callbacks.BestCheckpoint"


@dataclass(frozen=True)
class _Start:
    """An argument of a callback that is the epoch in which it begins.

    Attributes:
        target: Dotted name of the callback's class.
        argument: Name of the argument.
        first_epoch: The number that the first epoch has in it.
        default: Its default, if that may lie beyond a run.
    """

    target: str
    argument: str
    first_epoch: int = 0
    default: int | None = None

    def problem(self, key: str, node: Mapping[str, Any], max_epochs: int) -> str | None:
        """Describe a start beyond the last epoch; None if there is none, or it is within the run.

        Args:
            key: Dotted key of the callback.
            node: Its node.
            max_epochs: Number of epochs of the run.
        """
        has_default = (
            self.argument not in node and node["_target_"].rpartition(".")[2] == self.target.rpartition(".")[2]
        )
        value = self.default if has_default else node.get(self.argument)
        last = max_epochs - 1 + self.first_epoch
        if not _is_whole(value) or value <= last:
            return None
        return (
            f"Expected `{key}.{self.argument}` to be an epoch of the run, from {self.first_epoch} to {last}, but "
            f"{'its default is' if has_default else 'got'} {value} with 'trainer.max_epochs={max_epochs}'. "
            f"{'Set' if has_default else 'Lower'} it, or raise 'trainer.max_epochs'."
        )


_STARTS = (
    _Start(f"{_LIGHTNING}.StochasticWeightAveraging", "swa_epoch_start", first_epoch=1),
    _Start(f"{_LIGHTNING}.EMAWeightAveraging", "update_starting_at_epoch"),
    _Start(f"{_LIGHTNING}.BackboneFinetuning", "unfreeze_backbone_at_epoch", default=10),
)


def callback_setting_problems(settings: "TrainSettings") -> Iterator[str]:
    """Describe callbacks that would begin after the last epoch, and a best checkpoint that would never be kept.

    Args:
        settings: The settings, whose nodes may have values of a wrong type.
    """
    if not settings.train or settings.trainer.get("fast_dev_run"):
        return
    epochs = settings.trainer.get("max_epochs")
    max_epochs = epochs if _is_whole(epochs) and epochs > 0 else None
    for name, node in (settings.callbacks or {}).items():
        if not isinstance(node, Mapping) or not isinstance(node.get("_target_"), str):
            continue
        key = f"callbacks.{name}"
        if is_written_subclass(node["_target_"], _BEST_CHECKPOINT):
            yield from _best_checkpoint_problems(key, node, max_epochs)
        if max_epochs is not None:
            yield from _late_starts(key, node, max_epochs)


def _late_starts(key: str, node: Mapping[str, Any], max_epochs: int) -> Iterator[str]:
    for start in _STARTS:
        if is_written_subclass(node["_target_"], start.target) and (problem := start.problem(key, node, max_epochs)):
            yield problem
    scheduling = node.get("scheduling")
    if not isinstance(scheduling, Mapping) or not is_written_subclass(node["_target_"], _ACCUMULATION):
        return
    epochs = [epoch for epoch in scheduling if _is_whole(epoch)]
    if epochs and min(epochs) >= max_epochs:
        yield (
            f"Expected an epoch of the run, from 0 to {max_epochs - 1}, in `{key}.scheduling` but got "
            f"{dict(scheduling)} with 'trainer.max_epochs={max_epochs}'. Lower it, or raise 'trainer.max_epochs'."
        )


def _best_checkpoint_problems(key: str, node: Mapping[str, Any], max_epochs: int | None) -> Iterator[str]:
    instead = f"Leave it out, or set '{key}=null' to test the last epoch."
    if node.get("save_top_k") == 0:
        yield f"Expected the best checkpoint to be kept but `{key}.save_top_k` is 0. {instead}"
    every = node.get("every_n_epochs")
    if not _is_whole(every):
        return
    if every == 0:
        yield f"Expected the best checkpoint to be kept but `{key}.every_n_epochs` is 0. {instead}"
    elif max_epochs is not None and every > max_epochs:
        yield (
            f"Expected the best checkpoint to be kept within {max_epochs} epochs but `{key}.every_n_epochs` is "
            f"{every}. {instead}"
        )


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
