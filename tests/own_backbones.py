"""A package with backbones, as somebody else writes it."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = "their_networks"
TINY = f"{PACKAGE}.backbones.tiny"

_SOURCE = '''
from os import getpid

import torch
from torch import nn
from torch.nn import functional as F

from cxr_lightning.models.backbones.base import Backbone


def pooled(*layers):
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), *layers)


def tiny(num_labels, width=4, drop_rate=0.0):
    features = nn.Sequential(
        nn.Conv2d(3, width, 3, stride=4, padding=1), nn.BatchNorm2d(width), nn.ReLU(),
        nn.Conv2d(width, width, 3, stride=4, padding=1), nn.Dropout(drop_rate), nn.ReLU(),
    )
    return features, pooled(nn.Linear(width, num_labels))


def deep(num_labels):
    """Its head has a hidden layer."""
    return tiny(num_labels)[0], pooled(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, num_labels))


def normalized(num_labels):
    """Its head normalizes the pooled maps."""
    return tiny(num_labels)[0], pooled(nn.LayerNorm(4), nn.Linear(4, num_labels))


def flat(num_labels, side=4):
    """It takes images of one size alone; its features are one module without children."""
    return nn.Conv2d(3, 2, 3, stride=16, padding=1), nn.Sequential(nn.Flatten(), nn.Linear(2 * side * side, num_labels))


def fixed(num_labels):
    """Its head has no parameters."""
    return nn.Conv2d(3, num_labels, 3, stride=16, padding=1), pooled()


def anything(num_labels, **variations):
    assert variations in ({}, {"width": 8})
    return tiny(num_labels, **variations)


class Divided(nn.Module):
    def __init__(self, num_labels):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, stride=16, padding=1)
        self.last = nn.Linear(4, num_labels)

    def forward(self, pixels):
        return self.last(F.relu(self.stem(pixels)).mean(dim=(2, 3)))


def divided_features(network, pixels):
    return F.relu(network.stem(pixels))


def divided_head(network, maps):
    return network.last(maps.mean(dim=(2, 3)))


def pre_relu_head(network, maps):
    return divided_head(network, F.relu(maps))


def imagenet():
    torch.manual_seed(5)
    return Divided(1000).state_dict()


def stem(network, pixels):
    return network.stem(pixels)


whole = Backbone(
    Divided, divided_features, divided_head, "last", pre_relu=(stem, pre_relu_head), imagenet=imagenet
)
wrongly_divided = Backbone(Divided, stem, divided_head, "last")


def one_module(num_labels):
    return nn.Flatten()


def a_list(num_labels):
    return [nn.Flatten(), nn.Flatten()]


def a_name(num_labels):
    return tiny(num_labels)[0], "head"


def flattened(num_labels):
    return nn.Flatten(), nn.Linear(3 * 64 * 64, num_labels)


class ChannelsLast(nn.Module):
    def forward(self, pixels):
        return F.avg_pool2d(pixels, 16).permute(0, 2, 3, 1)


def channels_last(num_labels):
    return ChannelsLast(), nn.Sequential(nn.Flatten(), nn.Linear(48, num_labels))


class Several(nn.Module):
    def forward(self, pixels):
        return [pixels]


def several(num_labels):
    return Several(), pooled(nn.Linear(3, num_labels))


def other_outputs(num_labels):
    return tiny(num_labels)[0], pooled(nn.Linear(4, num_labels + 1))


def misfit(num_labels):
    return tiny(num_labels)[0], pooled(nn.Linear(5, num_labels))
'''


@pytest.fixture
def own_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The package is installed and trusted; its name."""
    folder = tmp_path / "installed" / PACKAGE
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "backbones.py").write_text(_SOURCE)
    monkeypatch.syspath_prepend(folder.parent)
    monkeypatch.setenv("CXR_PLUGINS", PACKAGE)
    yield PACKAGE
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]
