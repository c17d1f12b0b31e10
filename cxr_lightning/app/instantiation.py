"""Objects of a configuration: its nodes instantiated, with errors that name the key."""

from collections.abc import Callable, Mapping
from inspect import Signature, signature
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger

from cxr_lightning.app.part_errors import Part, naming_key
from cxr_lightning.app.targets import find_target

_FILE_LOGGERS = (CSVLogger, TensorBoardLogger)


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
    part = part_of(config, key)
    kept = {name: value for name, value in part.settings.items() if name not in arguments}
    with naming_key(part):
        return instantiate(kept, **arguments, _convert_="all")


def part_of(config: DictConfig, key: str) -> Part:
    """A node of a composed and checked configuration, as errors name it.

    Args:
        config: The configuration.
        key: Dotted key of the node.
    """
    settings: Any = OmegaConf.to_container(OmegaConf.select(config, key), resolve=True)
    return Part(key, settings["_target_"], settings)


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
    return {
        name: Factory(part_of(config, key), instantiate_node(config, key))
        for name, key in _factory_keys(config).items()
    }


def factory_classes(config: DictConfig) -> list[tuple[Part, object]]:
    """The nodes of the model's factories, each with the class or function that makes the object.

    Args:
        config: The configuration, composed and checked.
    """
    parts = [part_of(config, key) for key in _factory_keys(config).values()]
    return [(part, find_target(part.key, part.target)) for part in parts]


def _factory_keys(config: DictConfig) -> dict[str, str]:
    """Keys of the nodes of the model's factories, by the names of its arguments."""
    return {
        name: name if OmegaConf.is_interpolation(config.model, name) else f"model.{name}"
        for name in ("optimizer", "scheduler")
        if config.model.get(name) is not None
    }


def start_loggers(config: DictConfig, loggers: Mapping[str, Logger]) -> None:
    """Start the loggers that have more to do than write files, so that one that cannot stops the run at once.

    Args:
        config: The configuration, composed and checked.
        loggers: Its loggers by their keys.

    Raises:
        ValueError: If one cannot start, such as without an account; the message names the key.
    """
    for key, logger in loggers.items():
        if not isinstance(logger, _FILE_LOGGERS):
            with naming_key(part_of(config, key)):
                getattr(logger, "experiment", None)


class Factory:  # no dataclass: Hydra would take it for settings
    """A factory whose errors name its key.

    Args:
        part: Its node.
        make: The factory.
    """

    def __init__(self, part: Part, make: Callable[..., Any]) -> None:
        self.part = part
        self.make = make

    @property
    def __signature__(self) -> Signature:
        """Its signature, which says whether it takes the number of steps."""
        return signature(self.make)

    def __call__(self, *arguments: object, **named: object) -> Any:  # noqa: ANN401  # what it makes
        """Make the object."""
        with naming_key(self.part):
            return self.make(*arguments, **named)
