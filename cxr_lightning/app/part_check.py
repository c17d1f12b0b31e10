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
from torch import nn

from cxr_lightning.app.errors import one_line
from cxr_lightning.app.instantiation import naming_key
from cxr_lightning.checkpoints.initial_weights import read_initial_weights
from cxr_lightning.models.backbones.registry import BACKBONES, find_backbone
from cxr_lightning.models.weights import IMAGENET
from cxr_lightning.utils.plugins import is_within, trusted_packages

_PLACEHOLDER_LABEL = "label"
_PLACEHOLDER_STATISTICS = {"mean": 128.0, "std": 64.0}


def find_part_problems(nodes: Mapping[str, Any], labels: Sequence[str] | None, wrong: Collection[str]) -> Iterator[str]:
    """Describe what the parts' constructors, and a file of initial weights, refuse.

    Args:
        nodes: The nodes of the configuration by group, with plain values.
        labels: Labels that are trained; None if only the data tell them.
        wrong: Dotted keys of nodes that cannot be made.
    """
    makers: dict[str, Callable[[], object]] = {
        "data": lambda: _make(nodes["data"]),
        "loss": lambda: _make(nodes["loss"]),
        "model": lambda: _make_model(nodes["model"], labels),
        "optimizer": lambda: _make_optimizer(nodes["optimizer"]),
        "scheduler": lambda: _make_scheduler(nodes["scheduler"]),
    }
    for name, node in (nodes["callbacks"] or {}).items():
        if node is not None:
            makers[f"callbacks.{name}"] = partial(_make, node)
    for key, make in makers.items():
        group, _, rest = key.partition(".")
        node = nodes[group][rest] if rest else nodes[group]
        is_wrong = any(one == key or one.startswith(f"{key}.") for one in wrong)
        if not is_wrong and not is_within(str(node.get("_target_")), trusted_packages()):
            yield from _refusals(key, str(node.get("_target_")), make)


def _refusals(key: str, target: str, make: Callable[[], object]) -> Iterator[str]:
    try:
        with _silence(), torch.random.fork_rng(devices=[]), naming_key(key, target):
            make()
    except Exception as error:  # libraries raise what they like
        text = one_line(error)
        yield text if text.startswith("Expected") else f"Expected settings of `{key}` that work but: {text}"


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


def _make_optimizer(node: Mapping[str, Any]) -> torch.optim.Optimizer:
    optimizer: torch.optim.Optimizer = _make(node)([nn.Parameter(torch.zeros(2, 2))])
    return optimizer


def _make_scheduler(node: Mapping[str, Any]) -> None:
    make = _make(node)
    steps = {"total_steps": 1} if "total_steps" in inspect.signature(make).parameters else {}
    make(torch.optim.SGD([nn.Parameter(torch.zeros(2, 2))], lr=0.1), **steps)
