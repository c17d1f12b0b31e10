"""Nodes become objects, and their errors name the key."""

import inspect
import pickle

import pytest
import torch
from hydra import compose
from omegaconf import OmegaConf
from pytorch_lightning.loggers import Logger

from cxr_lightning.app.instantiation import (
    configured_factories,
    instantiate_node,
    start_loggers,
)


@pytest.mark.usefixtures("hydra_conf")
def test_factories_keep_their_signature_and_name_their_key_when_called() -> None:
    factories = configured_factories(compose("train", ["optimizer.lr=-1", "model=densenet_micro"]))
    assert "total_steps" in inspect.signature(factories["scheduler"]).parameters
    assert pickle.loads(pickle.dumps(factories["optimizer"])).part.key == "optimizer"
    with pytest.raises(ValueError, match=r"settings of `optimizer` that AdamW .*Invalid learning rate: -1"):
        factories["optimizer"]([torch.nn.Parameter(torch.zeros(1))])


def test_an_argument_takes_the_place_of_a_node() -> None:
    config = OmegaConf.create({"rate": 2.0, "x": {"_target_": "torch.nn.Dropout", "p": "${rate}"}})
    assert instantiate_node(config, "x", p=0.5).p == 0.5
    with pytest.raises(ValueError, match=r"settings of `x` that Dropout accepts .*between 0 and 1, but got 2"):
        instantiate_node(config, "x")


class Closed(Logger):
    """A logger of a service that nobody has logged in to."""

    @property
    def experiment(self) -> None:
        raise ValueError("No API key configured for lungs.")

    name = version = None

    def log_metrics(self, *args: object, **kwargs: object) -> None: ...

    def log_hyperparams(self, *args: object, **kwargs: object) -> None: ...


def test_a_logger_that_cannot_start_is_named() -> None:
    node = {"_target_": "my_package.Closed", "project": "lungs", "offline": False}
    config = OmegaConf.create({"logger": {"mine": node}})
    words = r"settings of `logger.mine` that Closed .*No API key.*Correct `logger.mine.project` \(lungs\)\."
    with pytest.raises(ValueError, match=words):
        start_loggers(config, {"logger.mine": Closed()})
