"""The parts of a training, made once before data is read, so that what their constructors refuse is known by then.

The network is made without memory for its tensors, an optimizer and a schedule for one small tensor.
"""

import inspect
import logging
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from hydra.errors import HydraException
from hydra.utils import instantiate
from pytorch_lightning import Callback
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from cxr_lightning.app.errors import USER_ERRORS, one_line
from cxr_lightning.app.part_errors import TRAINER_KEY, Part, naming_key
from cxr_lightning.app.targets import find_target
from cxr_lightning.checkpoints.initial_weights import read_initial_weights
from cxr_lightning.losses.contract import make_loss
from cxr_lightning.models.backbones.registry import BACKBONES, find_backbone
from cxr_lightning.models.weights import IMAGENET
from cxr_lightning.training.build import trainer_arguments
from cxr_lightning.training.callbacks import callback_problems
from cxr_lightning.utils.determinism import kept_determinism
from cxr_lightning.utils.plugins import is_within, trusted_packages

_PLACEHOLDER_LABEL = "label"
_PLACEHOLDER_STATISTICS = {"mean": 128.0, "std": 64.0}
_TRIED_STEPS = 100
"""Steps of a run for which a schedule is tried."""
_AUTO = "auto"
_LOGGERS = "pytorch_lightning.loggers"
_LOCAL_LOGGERS = ("CSVLogger", "TensorBoardLogger", "WandbLogger")
"""Loggers whose constructors neither connect to a service nor write anything."""


def find_part_problems(
    settings: Mapping[str, Any], labels: Sequence[str] | None, wrong: Collection[str]
) -> Iterator[str]:
    """Describe what the parts' constructors, and a file of initial weights, refuse, and callbacks that cannot work.

    Args:
        settings: The settings by name, with plain values.
        labels: Labels that are trained; None if only the data tell them.
        wrong: Dotted keys of nodes that cannot be made.
    """
    callbacks, loggers = _entries(settings, "callbacks"), _entries(settings, "logger")
    nodes = {**settings, **callbacks, **loggers}
    optimizer = _Optimizer(settings["optimizer"])
    makers: dict[str, Callable[[], object]] = {
        "data": lambda: _make(settings["data"]),
        "loss": lambda: make_loss(_make(settings["loss"]), torch.eye(2)),
        "model": lambda: _make_model(settings["model"], labels),
        "optimizer": optimizer.make,
        "scheduler": lambda: _make_scheduler(settings["scheduler"], optimizer.made),
        **{key: partial(_make, node) for key, node in callbacks.items()},
        **{key: partial(_make, node) for key, node in loggers.items() if _is_made_without_effect(node)},
        TRAINER_KEY: lambda: _make_trainer(settings[TRAINER_KEY]),
    }
    for key, make in makers.items():
        part = Part(key, str(nodes[key].get("_target_")), nodes[key])
        if not _is_wrong(key, wrong) and not is_within(part.target, trusted_packages()):
            yield from _refusals(part, make)
    targets = (find_target(key, node["_target_"]) for key, node in callbacks.items() if not _is_wrong(key, wrong))
    yield from callback_problems(
        [
            target for target in targets if inspect.isclass(target) and issubclass(target, Callback)
        ],  # a function makes callbacks of this package
        has_logger=bool(loggers),
        has_frozen_backbone=bool(settings["model"].get("freeze_backbone")),
        resumed=bool(settings["train"] and settings["ckpt_path"]),
    )


def _entries(settings: Mapping[str, Any], group: str) -> dict[str, Mapping[str, Any]]:
    """The nodes of a group by their keys."""
    return {f"{group}.{name}": node for name, node in (settings[group] or {}).items() if node is not None}


def _is_wrong(key: str, wrong: Collection[str]) -> bool:
    return any(one == key or one.startswith(f"{key}.") for one in wrong)


def _refusals(part: Part, make: Callable[[], object]) -> Iterator[str]:
    try:
        with _silence(), kept_determinism(), torch.random.fork_rng(devices=[]), naming_key(part):
            make()
    except USER_ERRORS as error:
        yield one_line(error)


@contextmanager
def _silence() -> Iterator[None]:
    """Within the block nothing is logged and no warning is shown: the run itself will do that."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def _make(node: Mapping[str, Any]) -> Any:  # noqa: ANN401  # any part
    return instantiate(dict(node), _convert_="all")


def _make_trainer(node: Mapping[str, Any]) -> None:
    """Make the trainer as for a run, without callbacks and loggers."""
    instantiate({**node, **trainer_arguments([], [])}, _convert_="all")


def _is_made_without_effect(node: Mapping[str, Any]) -> bool:
    """Whether a logger can be made before the run: it neither connects to a service nor writes."""
    package, _, name = str(node["_target_"]).rpartition(".")
    return is_within(f"{package}.", (_LOGGERS,)) and name in _LOCAL_LOGGERS


def _make_model(node: Mapping[str, Any], labels: Sequence[str] | None) -> None:
    """Make the model with its initial weights; ImageNet weights are downloaded if they are not there yet."""
    settings = {name: value for name, value in node.items() if name not in ("optimizer", "scheduler")}
    if settings.get("preprocessing") == "featurewise" and settings.get("mean") is None:
        settings |= _PLACEHOLDER_STATISTICS
    backbone, weights = settings["backbone"], settings.get("weights")
    architecture = find_backbone(backbone)
    state = None
    if weights == IMAGENET and architecture.imagenet is not None:
        architecture.imagenet()
    elif weights == IMAGENET:
        raise ValueError(f"Expected a backbone with ImageNet weights but got {backbone!r}. Set 'model.weights=null'.")
    elif weights is not None:
        initial = read_initial_weights(weights, backbone, labels or ())
        settings |= {name: value for name, value in initial.variations.items() if name not in settings}
        state = initial.state
    arguments = {"labels": list(labels or (_PLACEHOLDER_LABEL,)), "weights": state, "_convert_": "all"}
    try:
        # A network of another package is tried with an image, which needs memory.
        with torch.device("meta" if backbone in BACKBONES else "cpu"):
            instantiate(settings | {"weights": None}, **arguments)
    except HydraException as error:
        raise ValueError(str(error.__cause__ or error).replace("the given tensors", str(weights))) from error


class _Optimizer:
    """The configured optimizer of one parameter, as the weights of a convolution are here: channels last.

    Attributes:
        made: The optimizer; a similar one until it is made.
    """

    def __init__(self, node: Mapping[str, Any]) -> None:
        self.node = node
        self.parameter = nn.Parameter(torch.zeros(2, 3, 3, 3).to(memory_format=torch.channels_last))
        self.made: torch.optim.Optimizer = torch.optim.SGD([self.parameter], lr=0.1, momentum=0.9)

    def make(self) -> None:
        """Make the optimizer, and make a step with it."""
        made: torch.optim.Optimizer = _make(self.node)([self.parameter])
        self.parameter.grad = torch.zeros_like(self.parameter)
        made.step(lambda: 0.0)
        self.made = made


def _make_scheduler(node: Mapping[str, Any], optimizer: torch.optim.Optimizer) -> None:
    make = _make(node)
    steps = {"total_steps": _TRIED_STEPS} if "total_steps" in inspect.signature(make).parameters else {}
    schedule = make(optimizer, **steps)
    schedule.step(*([0.0] if isinstance(schedule, ReduceLROnPlateau) else []))
