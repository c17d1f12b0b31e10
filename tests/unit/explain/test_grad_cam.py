"""Heat maps against an independent autograd computation, by hand, and one by one."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from cxr_lightning.explain.grad_cam import GradCam, normalize, upsample
from cxr_lightning.models.classifier import ChestXRayClassifier
from cxr_lightning.models.setting_rules import TargetLayer

LABELS = ["Mass", "Edema", "Hernia"]


def model_of(backbone: str = "densenet_micro", seed: int = 0, **settings: Any) -> ChestXRayClassifier:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return ChestXRayClassifier(LABELS, backbone=backbone, image_size=64, **settings).eval()


def images_of(count: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 1, 64, 64), dtype=torch.uint8, generator=generator)


def by_autograd(model: ChestXRayClassifier, image: Tensor, label: int, layer: str) -> Tensor:
    """Grad-CAM written out for a DenseNet: one image, one label, the gradient through the whole network."""
    backbone: Any = model.network.backbone
    pixels = model.network.preprocess(image[None])
    maps = backbone.features(pixels)
    target = F.relu(maps) if layer == "post_relu" else maps
    target.retain_grad()
    pooled = (target if layer == "post_relu" else F.relu(target)).mean(dim=(2, 3))
    backbone.classifier(pooled)[0, label].backward()
    assert target.grad is not None
    weights = target.grad.mean(dim=(2, 3), keepdim=True)
    found: Tensor = (weights * target).sum(dim=1)[0].clamp(min=0).detach()
    return found


@pytest.mark.parametrize("layer", ["post_relu", "pre_relu"])
def test_maps_equal_an_independent_autograd_computation(layer: TargetLayer) -> None:
    model, images = model_of(), images_of(3)
    maps = GradCam(model.network, layer).heatmaps(images, [0, 2])
    assert maps.shape == (3, 2, 2, 2)
    for row in range(3):
        for column, label in enumerate([0, 2]):
            expected = by_autograd(model, images[row], label, layer)
            assert torch.allclose(maps[row, column], expected, atol=1e-6)
    assert (maps > 0).any()


def test_a_network_with_hand_set_weights_has_the_map_worked_out_by_hand() -> None:
    model = model_of()
    grad_cam = GradCam(model.network)
    maps = torch.tensor([[[[1.0, 0], [0, 3]], [[2, 2], [0, 0]]]])  # (1, K=2, 2, 2)
    weight = torch.tensor([[1.0, -0.5]])
    # d logit / d map = weight / 4 everywhere, so the mean is weight / 4; the sum over K is
    # [[1/4 - 2/8, -2/8], [0, 3/4]], and what is negative becomes 0.
    grad_cam.head.head = lambda activations: activations.mean(dim=(2, 3)) @ weight.T
    found = grad_cam._attribute(maps, torch.tensor([0]))
    assert found.tolist() == [[[0.0, 0.0], [0.0, 0.75]]]


def test_many_at_once_equal_one_by_one() -> None:
    model, images = model_of(), images_of(5)
    grad_cam = GradCam(model.network)
    together = grad_cam.heatmaps(images, [0, 1, 2])
    for row in range(5):
        for label in range(3):
            assert torch.allclose(
                together[row, label], grad_cam.heatmaps(images[row : row + 1], [label])[0, 0], atol=1e-6
            )
    pairs = grad_cam.heatmaps_of_pairs(images, torch.tensor([4, 0, 4]), torch.tensor([1, 2, 0]))
    assert torch.allclose(pairs, torch.stack([together[4, 1], together[0, 2], together[4, 0]]), atol=1e-6)
    assert grad_cam.heatmaps_of_pairs(
        images, torch.tensor([], dtype=torch.long), torch.tensor([], dtype=torch.long)
    ).shape == (
        0,
        2,
        2,
    )


@pytest.mark.parametrize("backbone", ["densenet_micro", "resnet50", "swin_v2_t"])
def test_heat_maps_are_finite(backbone: str) -> None:
    grad_cam = GradCam(model_of(backbone).network)
    maps = grad_cam.heatmaps(images_of(2), [1])
    assert maps.shape == (2, 1, 2, 2)
    assert torch.isfinite(maps).all()


def test_a_network_without_final_relu_and_a_frozen_one_have_maps() -> None:
    model = model_of(final_relu=False)
    assert torch.equal(
        GradCam(model.network).heatmaps(images_of(1), [0]),
        GradCam(model.network, "pre_relu").heatmaps(images_of(1), [0]),
    )
    frozen = model_of(freeze_backbone=True)
    assert torch.allclose(
        GradCam(frozen.network).heatmaps(images_of(1), [0]), GradCam(model_of().network).heatmaps(images_of(1), [0])
    )


def test_maps_work_within_inference_mode_and_leave_the_model_as_it_was() -> None:
    model = model_of()
    before = {name: value.clone() for name, value in model.state_dict().items() if isinstance(value, Tensor)}
    with torch.inference_mode():
        maps = GradCam(model.network).heatmaps(images_of(2), [0])
    assert torch.allclose(maps, GradCam(model.network).heatmaps(images_of(2), [0]))
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in before.items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_an_unknown_layer_or_one_that_the_network_has_not_is_refused() -> None:
    with pytest.raises(ValueError, match=r"`target_layer` to be one of \['post_relu', 'pre_relu'\] but got 'norm5'"):
        GradCam(model_of().network, "norm5")  # type: ignore[arg-type]  # the error under test
    with pytest.raises(ValueError, match=r"before its last activation.*pre_relu but got resnet50\. Use post_relu"):
        GradCam(model_of("resnet50").network, "pre_relu")


def test_upsampling_is_bilinear() -> None:
    maps = torch.rand(3, 4, 4)
    expected = F.interpolate(maps[:, None], (16, 16), mode="bilinear", align_corners=False)[:, 0]
    assert torch.allclose(upsample(maps, 16), expected, atol=1e-6)


@given(st.lists(st.floats(0, 100, width=32), min_size=4, max_size=4))
def test_normalised_maps_lie_between_0_and_1_and_nothing_is_made_of_noise(values: list[float]) -> None:
    found = normalize(torch.tensor(values).reshape(1, 2, 2))
    assert found.min() >= 0
    assert float(found.max()) in (0.0, pytest.approx(1.0))
    assert (max(values) > 1e-8) == bool((found > 0).any())


def test_a_model_whose_evidence_is_all_against_a_finding_has_an_empty_map() -> None:
    model = model_of()
    head = model.network.head_layer
    assert isinstance(head, nn.Linear)
    with torch.no_grad():
        head.weight[0] = -1.0
    maps = GradCam(model.network).heatmaps(images_of(2), [0])
    assert (maps == 0).all()
    assert (normalize(maps[:, 0]) == 0).all()
