"""Every backbone gives one logit per label, from the two parts and the last layer that it says it has."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from cxr_lightning.models.backbones.registry import BACKBONES, build_backbone
from cxr_lightning.models.network import Network
from cxr_lightning.models.setting_rules import BACKBONE_NAMES

CONF = Path(__file__).parents[3] / "conf"
TENSOR_NAMES = {
    "densenet121": "c7c858119b3a3323",
    "densenet169": "439b81c377136727",
    "densenet201": "dc384d8aae7ec932",
    "densenet_micro": "d50354b236128b98",
    "resnet50": "87b9390070d0ad82",
    "convnext_tiny": "819b4674fa7a07ef",
    "convnext_small": "04bb85828e4d26ba",
    "convnext_base": "04bb85828e4d26ba",
    "efficientnet_v2_s": "12c04d446ee7254a",
    "efficientnet_v2_m": "88f5eb0ae27b87ec",
    "swin_v2_t": "c04a9f14aa089b0d",
    "swin_v2_s": "e9714fb9e990097d",
}
"""Beginning of the sha256 of the sorted tensor names: a checkpoint of an earlier version has these names."""


def test_every_backbone_has_a_file_in_conf() -> None:
    assert {path.stem for path in (CONF / "model").glob("*.yaml")} - {"base"} == set(BACKBONES) == set(BACKBONE_NAMES)


@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_gives_one_logit_per_label_from_its_last_layer(name: str) -> None:
    # On the meta device: shapes are computed, no number is, and no weight is drawn.
    with torch.device("meta"):
        network = build_backbone(name, 5).eval()
        logits = network(torch.empty(2, 3, 32, 32))  # the least that the data module allows
    assert logits.shape == (2, 5)
    head = network.get_submodule(BACKBONES[name].head_name)
    assert isinstance(head, nn.Linear)
    assert head.out_features == 5
    assert list(network.modules())[-1] is head


@pytest.mark.parametrize("name", BACKBONES)
def test_the_head_of_the_features_is_the_network(name: str) -> None:
    torch.manual_seed(0)
    network = Network(name, 3).eval()
    pixels = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = network.backbone(pixels)
        maps = network.features(pixels)
        assert maps.shape[2:] == (2, 2)
        assert torch.equal(network.head(maps), expected)
        if network.architecture.pre_relu is not None:
            before = network.features(pixels, "pre_relu")
            assert (before < 0).any()
            assert torch.equal(before.relu(), maps)
            assert torch.equal(network.head(before, "pre_relu"), expected)


@pytest.mark.parametrize("name", BACKBONES)
def test_tensors_have_the_names_of_earlier_versions(name: str) -> None:
    with torch.device("meta"):
        names = sorted(build_backbone(name, 5).state_dict())
    assert hashlib.sha256("\n".join(names).encode()).hexdigest()[:16] == TENSOR_NAMES[name]


@pytest.mark.parametrize("name", BACKBONES)
def test_freezing_leaves_the_last_layer_alone_to_learn(name: str) -> None:
    with torch.device("meta"):
        network = Network(name, 5)
    network.freeze_backbone()
    learning = {key for key, parameter in network.backbone.named_parameters() if parameter.requires_grad}
    head_name = BACKBONES[name].head_name
    assert learning == {f"{head_name}.weight", f"{head_name}.bias"}


@pytest.mark.parametrize(
    ("name", "stages"),
    [
        (
            "densenet_micro",
            "classifier norm5 denseblock4 transition3 denseblock3 transition2 denseblock2 transition1 denseblock1 "
            "norm0 conv0",
        ),
        ("resnet50", "fc layer4 layer3 layer2 layer1 bn1 conv1"),
        ("convnext_tiny", "classifier.2 7 6 5 4 3 2 1 0"),
        ("swin_v2_t", "head 7 6 5 4 3 2 1 0"),
    ],
)
def test_stages_go_from_the_last_layer_to_the_first(name: str, stages: str) -> None:
    with torch.device("meta"):
        network = Network(name, 5)
    assert [stage for stage, _ in network.stages()] == stages.split()


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


@pytest.mark.parametrize(
    ("name", "variations", "message"),
    [
        ("densenet_micro", {"batch_norm_epsilon": 0.0}, r"`model\.batch_norm_epsilon` above 0 but got 0\.0"),
        ("densenet_micro", {"drop_rate": 1.0}, r"`model\.drop_rate` in \[0, 1\) but got 1\.0"),
        ("densenet_micro", {"width": 3}, r"densenet_micro among \[.*'final_relu'\] but got \['width'\]"),
        ("resnet50", {"drop_rate": 0.1}, r"resnet50 among \[\] but got \['drop_rate'\]\. Leave out `model\.drop_rate`"),
        ("resnet50", {"final_relu": False, "drop_rate": 0.0}, r"but got \['final_relu'\]"),
    ],
)
def test_a_variation_that_a_backbone_has_not_is_refused_by_name(
    name: str, variations: dict[str, Any], message: str
) -> None:
    with torch.device("meta"), pytest.raises(ValueError, match=message):
        build_backbone(name, 14, **variations)


def test_values_that_vary_nothing_are_taken_for_every_backbone() -> None:
    with torch.device("meta"):
        build_backbone("resnet50", 14, batch_norm_epsilon=1e-5, final_relu=True, drop_rate=0.0)
