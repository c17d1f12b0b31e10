"""A backbone of another package does all that ours do; what it must be is checked and said."""

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cxr_lightning.checkpoints.initial_weights import read_initial_weights
from cxr_lightning.checkpoints.load import load_classifier
from cxr_lightning.checkpoints.onnx import ExportedNetwork, export_onnx
from cxr_lightning.checkpoints.safetensors import write_safetensors
from cxr_lightning.checkpoints.save import save_classifier
from cxr_lightning.explain.grad_cam import GradCam
from cxr_lightning.explain.sanity import check_sanity
from cxr_lightning.metrics.calibration import Calibrator
from cxr_lightning.models.backbones.registry import build_backbone
from cxr_lightning.models.class_activation import linear_layer_after_pooling
from cxr_lightning.models.classifier import ChestXRayClassifier
from cxr_lightning.models.network import Network
from tests.own_backbones import PACKAGE, TINY, own_package

__all__ = ["own_package"]

LABELS = ("Mass", "Edema", "Hernia")

pytestmark = pytest.mark.usefixtures("own_package")


def named(name: str) -> str:
    return f"{PACKAGE}.backbones.{name}"


def model_of(
    name: str = "tiny", labels: tuple[str, ...] = LABELS, seed: int = 3, **settings: Any
) -> ChestXRayClassifier:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return ChestXRayClassifier(labels, backbone=named(name), image_size=64, **settings).eval()


def images_of(count: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 1, 64, 64), dtype=torch.uint8, generator=generator)


def logits_of(model: nn.Module) -> Tensor:
    with torch.no_grad():
        logits: Tensor = model(images_of(2))
    return logits


@pytest.mark.parametrize("name", ["tiny", "deep", "normalized", "flat", "fixed", "anything", "whole"])
def test_the_head_of_the_features_is_the_network(name: str) -> None:
    network = model_of(name).network
    pixels = network.pixels(images_of(2))
    with torch.no_grad():
        assert torch.equal(network.head(network.features(pixels)), network.backbone(pixels))
        assert network.backbone(pixels).shape == (2, 3)


def test_the_two_parts_are_modules_of_one() -> None:
    network = model_of().network
    assert [name for name, _ in network.backbone.named_children()] == ["features", "head"]
    assert [name for name, _ in network.stages()] == ["head", "3", "1", "0"]
    assert [name for name, _ in model_of("flat").network.stages()] == ["head", "features"]
    assert network.backbone.training is False
    assert Network(TINY, 3).backbone.training is True


def test_the_grad_cam_of_a_linear_head_is_worked_out_by_hand() -> None:
    model = model_of()
    network = model.network
    images = images_of(3)
    with torch.no_grad():
        maps = network.features(network.pixels(images))  # (3, 4, 4, 4)
    assert (maps >= 0).all()
    weight = dict(network.named_parameters())["backbone.head.2.weight"].detach()
    # d logit / d map = weight / 16 everywhere, since pooling divides by 4 * 4.
    expected = torch.einsum("bkhw,ck->bchw", maps, weight / 16).clamp(min=0)
    found = GradCam(network).heatmaps(images, [0, 2])
    assert torch.allclose(found, expected[:, [0, 2]], atol=1e-7)
    assert (found > 0).any()
    with pytest.raises(ValueError, match=rf"before its last activation.*pre_relu but got {TINY}\. Use post_relu"):
        GradCam(network, "pre_relu")


@pytest.mark.parametrize("name", ["tiny", "flat", "whole"])
def test_sanity_checks_randomize_the_stages_of_a_copy(name: str) -> None:
    model = model_of(name)
    before = logits_of(model)
    images = images_of(8)
    grad_cam = GradCam(model.network)
    columns = [max(range(3), key=lambda c: float(grad_cam.heatmaps(image[None], [c]).sum())) for image in images]
    result = check_sanity(grad_cam, images, columns, seed=1)
    assert result is not None
    assert list(result.similarity) == [stage for stage, _ in model.network.stages()]
    assert min(result.similarity.values()) < 0.9
    assert torch.equal(logits_of(model), before)


def test_a_copied_and_a_pickled_network_compute_the_same() -> None:
    model = model_of()
    expected = logits_of(model)
    for network in (copy.deepcopy(model.network), pickle.loads(pickle.dumps(model.network))):
        assert torch.equal(logits_of(network), expected)
        with torch.no_grad():
            assert torch.equal(network.head(network.features(network.pixels(images_of(2)))), expected)
            network.get_parameter("backbone.head.2.weight").zero_()
    assert torch.equal(logits_of(model), expected)


@pytest.mark.parametrize(("name", "parameters"), [("tiny", 2), ("deep", 4), ("normalized", 4)])
def test_freezing_leaves_the_head_alone_to_learn(name: str, parameters: int) -> None:
    model = model_of(name, freeze_backbone=True).train()
    learning = {key for key, parameter in model.network.named_parameters() if parameter.requires_grad}
    assert len(learning) == parameters
    assert all(key.startswith("backbone.head.") for key in learning)
    model(images_of(4)).sum().backward()
    assert torch.equal(model.network.state_dict()["backbone.features.1.running_mean"], torch.zeros(4))


def test_a_head_without_parameters_cannot_be_trained_alone() -> None:
    with pytest.raises(ValueError, match=r"parameters in the last layer, 'head', of .*fixed to train them alone"):
        model_of("fixed", freeze_backbone=True)


@pytest.mark.parametrize("suffix", ["ckpt", "safetensors"])
def test_a_model_rebuilds_itself_from_its_file(tmp_path: Path, suffix: str) -> None:
    model = model_of(variations={"width": 6}, drop_rate=0.25)
    assert model.network.backbone.state_dict()["features.0.weight"].shape == (6, 3, 3, 3)
    path = tmp_path / f"model.{suffix}"
    (save_classifier if suffix == "ckpt" else write_safetensors)(model, path)
    again = load_classifier(str(path))
    assert torch.equal(logits_of(again), logits_of(model))
    assert again.hparams["backbone"] == TINY
    assert again.hparams["variations"] == {"width": 6}
    dropout = again.network.backbone.get_submodule("features.4")
    assert isinstance(dropout, nn.Dropout)
    assert dropout.p == 0.25


@pytest.mark.parametrize("suffix", ["ckpt", "safetensors"])
def test_a_file_is_refused_where_its_package_is_not_trusted(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"model.{suffix}"
    (save_classifier if suffix == "ckpt" else write_safetensors)(model_of(), path)
    monkeypatch.delenv("CXR_PLUGINS")
    with pytest.raises(
        ValueError, match=f"^Expected a trusted package in the backbone of '.*{suffix}' but got"
    ) as error:
        load_classifier(str(path))
    assert f"'{TINY}'" in str(error.value)
    assert f"set CXR_PLUGINS={PACKAGE} in the environment" in str(error.value)


@pytest.mark.parametrize("name", ["tiny", "deep"])
def test_weights_of_other_labels_get_a_new_head(tmp_path: Path, name: str) -> None:
    source = model_of(name, seed=4)
    save_classifier(source, tmp_path / "source.ckpt")
    labels = ("Mass", "Edema", "Hernia", "Nodule")
    initial = read_initial_weights(str(tmp_path / "source.ckpt"), named(name), labels)
    assert initial.source["decisions"][-1] == "the last layer is new: its labels are others"
    target = model_of(name, labels, weights=initial.state)
    parts = target.network.backbone.state_dict(), source.network.backbone.state_dict()
    assert all(torch.equal(*(part[key] for part in parts)) for key in parts[0] if key.startswith("features."))
    # The same, where the tensors of the other head are given too.
    given = model_of(name, labels, weights=parts[1])
    assert torch.equal(given.network.backbone.state_dict()["features.0.weight"], parts[1]["features.0.weight"])
    assert not torch.equal(given.network.backbone.state_dict()["head.2.weight"][:3], parts[1]["head.2.weight"])


def test_weights_of_the_same_labels_keep_the_head_in_their_order(tmp_path: Path) -> None:
    source = model_of()
    save_classifier(source, tmp_path / "source.ckpt")
    turned = (LABELS[2], LABELS[0], LABELS[1])
    initial = read_initial_weights(str(tmp_path / "source.ckpt"), TINY, turned)
    assert "theirs, in the order of the labels" in initial.source["decisions"][-1]
    assert torch.allclose(logits_of(model_of(labels=turned, weights=initial.state)), logits_of(source)[:, [2, 0, 1]])


def test_a_head_whose_outputs_cannot_be_told_is_kept_in_the_same_order_alone(tmp_path: Path) -> None:
    source = model_of("deep")
    save_classifier(source, tmp_path / "source.ckpt")
    same = read_initial_weights(str(tmp_path / "source.ckpt"), named("deep"), LABELS)
    assert torch.equal(logits_of(model_of("deep", weights=same.state)), logits_of(source))
    other = read_initial_weights(str(tmp_path / "source.ckpt"), named("deep"), LABELS[::-1])
    assert not [name for name in other.state if name.startswith("head.")]
    assert "in another order, and it is more than one linear layer" in other.source["decisions"][-1]


def test_a_head_of_another_width_is_refused() -> None:
    state = model_of("deep").network.backbone.state_dict()
    state |= {"head.2.weight": torch.zeros(7, 4), "head.2.bias": torch.zeros(7), "head.4.weight": torch.zeros(3, 7)}
    with pytest.raises(ValueError, match=r"3 have another shape or type \['head\.2\.bias'"):
        model_of("deep", weights=state)


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("tiny", "backbone.head.2"),
        ("whole", "backbone.last"),
        ("deep", None),
        ("normalized", None),
        ("flat", None),
        ("fixed", None),
    ],
)
def test_class_activation_maps_exist_for_pooling_and_a_linear_layer(name: str, layer: str | None) -> None:
    network = model_of(name).network
    assert linear_layer_after_pooling(network) == layer
    with torch.no_grad():
        outputs = ExportedNetwork(network, [Calibrator()] * 3).eval()(images_of(2))
    assert len(outputs) == (3 if layer else 2)
    if layer:
        pooled = outputs[2].mean(dim=(2, 3)) + network.get_parameter(f"{layer}.bias")
        assert torch.allclose(pooled, logits_of(network), atol=1e-6)


@pytest.mark.parametrize(("name", "outputs"), [("tiny", 3), ("deep", 2)])
def test_onnx_computes_the_same(tmp_path: Path, name: str, outputs: int) -> None:
    runtime = pytest.importorskip("onnxruntime")
    model = model_of(name)
    differences = export_onnx(model, tmp_path / "x.onnx")
    assert len(differences) == outputs
    assert max(differences.values()) < 1e-5
    session = runtime.InferenceSession(str(tmp_path / "x.onnx"), providers=["CPUExecutionProvider"])
    (raw,) = session.run(["raw_probabilities"], {"images": images_of(2).numpy()})
    np.testing.assert_allclose(raw, logits_of(model).sigmoid().numpy(), atol=1e-5)


def test_a_whole_backbone_has_what_it_says() -> None:
    model = model_of("whole", weights="imagenet")
    with torch.random.fork_rng():
        torch.manual_seed(5)
        expected = nn.Conv2d(3, 4, 3, stride=16, padding=1).weight
    assert torch.equal(model.network.backbone.state_dict()["stem.weight"], expected)
    maps = GradCam(model.network, "pre_relu").activations(images_of(2))
    assert (maps < 0).any()
    with pytest.raises(ValueError, match=r"with ImageNet weights but got '.*tiny'\. Set 'model\.weights=null'"):
        model_of(weights="imagenet")


def test_variations_are_the_arguments_of_the_function() -> None:
    assert build_backbone(TINY, 3, width=7).state_dict()["features.0.weight"].shape[0] == 7
    assert build_backbone(named("anything"), 3, width=8, final_relu=True) is not None
    for settings in ({"final_relu": False}, {"variations": {"height": 2}}):
        with pytest.raises(ValueError, match=r"tiny among \['drop_rate', 'width'\] but got \['(final_relu|height)'\]"):
            model_of(**settings)
    with pytest.raises(ValueError, match=r"deep among \[\] but got \['drop_rate'\]\. Leave out `model\.drop_rate`"):
        model_of("deep", drop_rate=0.5)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("one_module", r"two modules, features and head, of '.*one_module' but it returns Flatten\. Return a tuple"),
        ("a_list", "two modules, features and head, .* returns list"),
        ("a_name", r"two modules, features and head, .* returns \['Sequential', 'str'\]"),
        ("flattened", r"maps \(B, K, h, w\) of the features of .*got \(1, 12288\) for \(1, 3, 64, 64\)"),
        ("channels_last", r"maps \(B, K, h, w\) .*got \(1, 4, 4, 3\) .*Put the channels second"),
        ("several", r"a tensor of the features of '.*several' but got list"),
        ("other_outputs", r"a logit for each of 3 labels, \(B, 3\), of the head .*got \(1, 4\) for \(1, 4, 4, 4\)"),
        ("misfit", r"the head of '.*misfit' to take \(1, 4, 4, 4\) but got RuntimeError: .*`data\.image_size`"),
        ("wrongly_divided", "features and head of '.*wrongly_divided' to compute what its network computes"),
        ("absent", r"something that exists in `model\.backbone` but '.*backbones' has no 'absent'"),
        ("getpid", r"a backbone in `model\.backbone` but '.*getpid' is builtin_function_or_method of posix"),
        ("Divided", r"a backbone in `model\.backbone` but '.*Divided' is type of"),
        ("torch", "a backbone in `model.backbone` but '.*torch' is module"),
    ],
)  # fmt: skip
def test_what_is_no_backbone_is_refused(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model_of(name)


def test_functions_that_a_package_has_from_elsewhere_are_refused(own_package: str, tmp_path: Path) -> None:
    module = tmp_path / "installed" / own_package / "helpers.py"
    module.write_text("from shutil import rmtree\nfrom their_networks.backbones import tiny\n")
    assert build_backbone(f"{own_package}.helpers.tiny", 3) is not None
    with pytest.raises(ValueError, match=r"a backbone in `model\.backbone` but '.*rmtree' is .* of shutil"):
        build_backbone(f"{own_package}.helpers.rmtree", 3)


def test_a_package_that_is_not_trusted_or_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ImportError, match=r"the trusted package's module 'their_networks\.absent' but it cannot be"):
        Network(f"{PACKAGE}.absent.tiny", 3)
    for name in ("os.system", "cxr_lightning.models.backbones.densenet.densenet_backbone", "other.backbones.tiny"):
        with pytest.raises(ValueError, match=rf"a trusted package in `model\.backbone` but got '{name}'\. Other code"):
            Network(name, 3)
    monkeypatch.delenv("CXR_PLUGINS")
    with pytest.raises(ValueError, match=rf"got '{TINY}'\. .* set CXR_PLUGINS={PACKAGE} in the environment"):
        Network(TINY, 3)


def test_an_image_size_that_the_network_does_not_take_is_said() -> None:
    with pytest.raises(
        ValueError, match=r"the head of '.*flat' to take \(1, 2, 8, 8\) but got RuntimeError: .*image_size"
    ):
        ChestXRayClassifier(LABELS, backbone=named("flat"), image_size=128)
    ChestXRayClassifier(LABELS, backbone=named("flat"), image_size=128, variations={"side": 8})
