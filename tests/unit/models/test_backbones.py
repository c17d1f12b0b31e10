"""Every backbone gives one logit per label, from the last layer that its name says."""

import pytest
import torch
from torch import nn

from cxr_lightning.models.backbones import BACKBONES, build_backbone, head_name
from cxr_lightning.models.network import Network


@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_gives_one_logit_per_label_from_its_head(name: str) -> None:
    # On the meta device: shapes are computed, no number is, and no weight is drawn.
    with torch.device("meta"):
        network = build_backbone(name, 5).eval()
        logits = network(torch.empty(2, 3, 32, 32))  # the least that the data module allows
    assert logits.shape == (2, 5)
    head = network.get_submodule(head_name(name))
    assert isinstance(head, nn.Linear)
    assert head.out_features == 5
    assert list(network.modules())[-1] is head


@pytest.mark.parametrize("name", BACKBONES)
def test_freezing_leaves_the_head_alone_to_learn(name: str) -> None:
    with torch.device("meta"):
        network = Network(name, 5)
    network.freeze_backbone()
    learning = {key for key, parameter in network.backbone.named_parameters() if parameter.requires_grad}
    assert learning == {f"{head_name(name)}.weight", f"{head_name(name)}.bias"}


@pytest.mark.parametrize(("name", "parameters"), [("densenet121", 6_968_206), ("densenet_micro", 5_174)])
def test_networks_have_the_known_number_of_parameters(name: str, parameters: int) -> None:
    with torch.device("meta"):
        network = build_backbone(name, 14)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


def test_densenet121_has_keras_count_with_its_batch_norm_statistics() -> None:
    with torch.device("meta"):
        network = build_backbone("densenet121", 14)
    statistics = sum(buffer.numel() for name, buffer in network.named_buffers() if "running" in name)
    assert sum(parameter.numel() for parameter in network.parameters()) + statistics == 7_051_854


def test_an_unknown_backbone_is_refused() -> None:
    with pytest.raises(ValueError, match=r"`model\.backbone` to be one of .*'densenet121'.* but got 'vgg16'"):
        build_backbone("vgg16", 14)
