"""Errors of what a configuration names end in one sentence with the key."""

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
    naming_key,
    start_loggers,
)


@pytest.mark.parametrize(
    ("target", "raised", "kind", "words"),
    [
        (
            "torch.optim.SGD",
            KeyError("x"),
            ValueError,
            r"settings of `a.b` that SGD accepts .* \('x'\)\. Correct `a.b`",
        ),
        ("torch.optim.SGD", NotImplementedError(), ValueError, r"refuses them \(NotImplementedError\)"),
        ("mine.SGD", TypeError("f() missing 1 required argument: 'x'"), ValueError, "`a.b` that SGD accepts"),
        ("mine.SGD", TypeError("can't multiply"), TypeError, "can't multiply"),  # a bug
        ("mine.SGD", ValueError("Expected a but got b."), ValueError, "^Expected a but got b.$"),
        ("torch.optim.SGD", FileNotFoundError("gone"), FileNotFoundError, "gone"),
        ("x.WandbLogger", ImportError("no wandb"), ImportError, r"needs .* \(no wandb\)\. .* uv run --extra wandb"),
        (
            "x.WandbLogger",
            ValueError("No API key."),
            ValueError,
            r"\(No API key\)\. Set WANDB_API_KEY, 'a.b.offline=true'",
        ),
    ],
)
def test_an_error_names_the_key_unless_it_may_be_a_bug(
    target: str, raised: Exception, kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words), naming_key("a.b", target):
        raise raised


@pytest.mark.usefixtures("hydra_conf")
def test_factories_keep_their_signature_and_name_their_key_when_called() -> None:
    factories = configured_factories(compose("train", ["optimizer.lr=-1", "model=densenet_micro"]))
    assert "total_steps" in inspect.signature(factories["scheduler"]).parameters
    assert pickle.loads(pickle.dumps(factories["optimizer"])).key == "optimizer"
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
        raise ValueError("No API key configured.")

    name = version = None

    def log_metrics(self, *args: object, **kwargs: object) -> None: ...

    def log_hyperparams(self, *args: object, **kwargs: object) -> None: ...


def test_a_logger_that_cannot_start_is_named() -> None:
    with pytest.raises(ValueError, match=r"settings of `logger.mine` that Closed .*No API key"):
        start_loggers({"logger.mine": Closed()})
