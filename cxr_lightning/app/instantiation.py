"""Objects of a configuration: its nodes instantiated, with errors that name the key."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from inspect import Signature, signature
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger

from cxr_lightning.utils.plugins import is_within

_LIBRARIES = ("torch", "pytorch_lightning")
_WRONG_CALL = re.compile(r"\(\) (missing|got|takes) ")
"""Part of Python's message about arguments that do not fit a signature."""
_FILE_LOGGERS = (CSVLogger, TensorBoardLogger)
_HINTS = {"WandbLogger": "Set WANDB_API_KEY, '{key}.offline=true', or another value that is named."}
"""What to do about an error of a class."""
_INSTALL = {"WandbLogger": "Install the extra: uv run --extra wandb."}
"""How to install what a class needs."""


def instantiate_node(config: DictConfig, key: str, **arguments: object) -> Any:  # noqa: ANN401  # what the node names
    """Instantiate a node of a composed and checked configuration.

    Args:
        config: The configuration.
        key: Dotted key of the node.
        arguments: Further arguments of what it names, also in the place of the node's own.

    Raises:
        ValueError: If what it names refuses its settings; the message names the key.
        ImportError: If a package that it needs is not installed.
    """
    settings: Any = OmegaConf.to_container(OmegaConf.select(config, key), resolve=True)
    kept = {name: value for name, value in settings.items() if name not in arguments}
    with naming_key(key, settings["_target_"]):
        return instantiate(kept, **arguments, _convert_="all")


def instantiate_group(config: DictConfig, group: str) -> dict[str, Any]:
    """The objects of a group's entries by their keys, without those that are null.

    Args:
        config: The configuration, composed and checked.
        group: Key of the group.
    """
    keys = [f"{group}.{name}" for name, node in (config.get(group) or {}).items() if node is not None]
    made = {key: instantiate_node(config, key) for key in keys}
    return {key: value for key, value in made.items() if value is not None}


def configured_factories(config: DictConfig) -> "dict[str, Factory]":
    """The model's factories by the name of its argument: of the optimizer and, if there is one, of its schedule.

    Args:
        config: The configuration, composed and checked.
    """
    found = {}
    for name in ("optimizer", "scheduler"):
        if config.model.get(name) is not None:
            key = name if OmegaConf.is_interpolation(config.model, name) else f"model.{name}"
            found[name] = Factory(key, config.model[name]["_target_"], instantiate_node(config, key))
    return found


def start_loggers(loggers: Mapping[str, Logger]) -> None:
    """Start the loggers that have more to do than write files, so that one that cannot stops the run at once.

    Args:
        loggers: Loggers by their keys.

    Raises:
        ValueError: If one cannot start, such as without an account; the message names the key.
    """
    for key, logger in loggers.items():
        if not isinstance(logger, _FILE_LOGGERS):
            kind = type(logger)
            with naming_key(key, f"{kind.__module__}.{kind.__qualname__}"):
                getattr(logger, "experiment", None)


class Factory:  # no dataclass: Hydra would take it for settings
    """A factory whose errors name its key.

    Args:
        key: Dotted key of its node.
        target: Dotted name of what it makes.
        make: The factory.
    """

    def __init__(self, key: str, target: str, make: Callable[..., Any]) -> None:
        self.key = key
        self.target = target
        self.make = make

    @property
    def __signature__(self) -> Signature:
        """Its signature, which says whether it takes the number of steps."""
        return signature(self.make)

    def __call__(self, *arguments: object, **named: object) -> Any:  # noqa: ANN401  # what it makes
        """Make the object."""
        with naming_key(self.key, self.target):
            return self.make(*arguments, **named)


@contextmanager
def naming_key(key: str, target: str) -> Iterator[None]:
    """Within the block, an error of what a node names becomes one that names the node's key.

    Args:
        key: Dotted key of the node.
        target: Dotted name of what it names. Libraries' errors are about their settings; others' may be bugs.
    """
    try:
        yield
    except Exception as raised:
        error = raised.__cause__ if isinstance(raised, InstantiationException) and raised.__cause__ else raised
        text, name = " ".join(str(error).split()).removesuffix("."), target.rpartition(".")[2]
        hint = _HINTS.get(name, "Correct `{key}`.").format(key=key)
        if isinstance(error, OSError) or text.startswith("Expected "):
            raise error from None
        if isinstance(error, ImportError):
            raise ImportError(
                f"Expected what {name} of `{key}` needs but it is not installed ({text}). "
                f"{_INSTALL.get(name, 'Install it.')}"
            ) from error
        if is_within(target, _LIBRARIES) or isinstance(error, ValueError) or _WRONG_CALL.search(text):
            raise ValueError(
                f"Expected settings of `{key}` that {name} accepts but it refuses them "
                f"({text or type(error).__name__}). {hint}"
            ) from error
        raise error from None
