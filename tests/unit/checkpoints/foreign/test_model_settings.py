"""Conversion of foreign weights: what is decided, what must be given, and that the numbers do not change."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from cxr_lightning import cli
from cxr_lightning.checkpoints.foreign.build import build_foreign_model
from cxr_lightning.checkpoints.foreign.foreign_weights import ForeignWeights
from cxr_lightning.checkpoints.foreign.model_settings import ForeignSettings, resolve_foreign_model
from cxr_lightning.checkpoints.foreign.reader import read_foreign_weights
from cxr_lightning.checkpoints.initial_weights import read_initial_weights
from cxr_lightning.checkpoints.load import as_classifier, load_classifier
from cxr_lightning.checkpoints.save import save_classifier
from cxr_lightning.labels import NIH_LABELS, WALKTHROUGH_LABELS
from cxr_lightning.models.backbones.densenet import DENSENET_BLOCKS, densenet_backbone
from cxr_lightning.models.backbones.registry import BACKBONES
from tests.unit.checkpoints.foreign.conftest import build

Small = Callable[[str], Path]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Small:
    """Function that writes a Keras file of a small DenseNet, which is registered as a backbone."""
    monkeypatch.setitem(DENSENET_BLOCKS, "densenet_small", (2, 1, 1, 1))
    monkeypatch.setitem(BACKBONES, "densenet_small", densenet_backbone((2, 1, 1, 1)))
    return lambda name: build(name, tmp_path)


def test_a_walkthrough_file_sets_labels_size_and_interpolation(small: Small) -> None:
    foreign = resolve_foreign_model(str(small("keras2_flat_dense.save_weights.h5")), ForeignSettings(mean=120, std=60))
    assert foreign.labels == WALKTHROUGH_LABELS
    assert (foreign.settings.image_size, foreign.settings.interpolation) == (320, "nearest")
    assert foreign.settings.preprocessing == "featurewise"
    model = build_foreign_model(foreign)
    assert model.hparams["batch_norm_epsilon"] == 1.001e-5
    assert model.metadata["source"]["sha256"] == foreign.sha256
    assert any("walk-through's order" in decision for decision in foreign.decisions)
    assert any("image size 320, the default" in decision for decision in foreign.decisions)


def test_the_models_logits_are_those_of_the_normalized_image(small: Small) -> None:
    path = small("keras2_flat_dense.save_weights.h5")
    model = build_foreign_model(resolve_foreign_model(str(path), ForeignSettings(mean=120, std=60, image_size=64)))
    image = torch.randint(0, 256, (2, 1, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    pixels = ((image.float() - 120) / 60).expand(-1, 3, -1, -1)
    state = read_foreign_weights(path).state
    network = model.network.backbone
    with torch.no_grad():
        features = network.get_submodule("features")(pixels)
        expected = F.relu(features).mean(dim=(2, 3)) @ state["classifier.weight"].T + state["classifier.bias"]
        # Variances of exactly zero amplify the rounding of float32 by 1 / sqrt(1e-5).
        torch.testing.assert_close(model.network(image), expected, rtol=2e-4, atol=2e-4 * float(expected.abs().max()))


def test_convert_save_load_and_predict_give_identical_bits(small: Small, tmp_path: Path) -> None:
    path = small("keras3_flat_no_final_relu.keras")
    model = build_foreign_model(
        resolve_foreign_model(str(path), ForeignSettings(WALKTHROUGH_LABELS, "samplewise", image_size=64))
    )
    assert model.hparams["final_relu"] is False
    save_classifier(as_classifier(model), tmp_path / "out" / "model.ckpt")
    again = load_classifier(str(tmp_path / "out" / "model.ckpt"))
    image = torch.randint(0, 256, (2, 1, 64, 64), dtype=torch.uint8)
    with torch.no_grad():
        assert torch.equal(model.network(image), again(image))
    assert again.labels == WALKTHROUGH_LABELS
    assert again.metadata["source"]["file"] == path.name
    assert "data" not in again.metadata
    with pytest.raises(ValueError, match="exists already"):
        save_classifier(as_classifier(model), tmp_path / "out" / "model.ckpt")


def test_missing_pixel_statistics_are_requested(small: Small) -> None:
    foreign = resolve_foreign_model(str(small("keras2_flat_dense.save_weights.h5")), ForeignSettings())
    assert foreign.needs_statistics
    with pytest.raises(ValueError, match=r"mean and standard deviation of training pixels .* Give `mean` and `std`"):
        build_foreign_model(foreign)
    assert build_foreign_model(foreign, 100.0, 50.0).hparams["mean"] == 100.0


def test_a_file_without_a_last_layer_is_refused_and_recommended_for_training(small: Small) -> None:
    with pytest.raises(
        ValueError, match=r"it has none\. Train one on it: train\.py model=densenet_small model\.weights="
    ):
        resolve_foreign_model(str(small("keras3_notop.weights.h5")), ForeignSettings())


def test_labels_of_other_sources_must_be_given_and_be_as_many_as_outputs(small: Small, tmp_path: Path) -> None:
    torch.save(dict(read_foreign_weights(small("keras2_flat_dense.save_weights.h5")).state), tmp_path / "x.pth")
    with pytest.raises(ValueError, match="`labels` for the 14 outputs"):
        resolve_foreign_model(str(tmp_path / "x.pth"), ForeignSettings())
    with pytest.raises(ValueError, match=r"14 labels for the outputs of '.*x\.pth' but got 2"):
        resolve_foreign_model(str(tmp_path / "x.pth"), ForeignSettings(labels=["A", "B"]))
    foreign = resolve_foreign_model(str(tmp_path / "x.pth"), ForeignSettings(labels=NIH_LABELS))
    assert (foreign.settings.preprocessing, foreign.settings.image_size) == ("imagenet", 224)
    assert foreign.weights.batch_norm_epsilon == 1e-5


def test_a_requested_final_relu_overrides_the_file(small: Small) -> None:
    path = str(small("keras2_nested.save_weights.h5"))
    requested = ForeignSettings(preprocessing="none", final_relu=False)
    foreign = resolve_foreign_model(path, requested)
    assert build_foreign_model(foreign).hparams["final_relu"] is False
    assert [decision for decision in foreign.decisions if "final ReLU" in decision] == ["no final ReLU, as given"]
    assert (
        build_foreign_model(resolve_foreign_model(path, ForeignSettings(preprocessing="none"))).hparams["final_relu"]
        is True
    )


def test_an_unknown_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"network among .*densenet201.* blocks have \[2, 1, 1, 1\] layers"):
        resolve_foreign_model(str(build("keras2_flat_dense.save_weights.h5", tmp_path)), ForeignSettings())


def test_training_starts_from_outputs_in_the_models_order_or_new_ones(small: Small, tmp_path: Path) -> None:
    path = str(small("keras2_flat_dense.save_weights.h5"))
    weights = read_foreign_weights(path)
    found = read_initial_weights(path, "densenet_small", NIH_LABELS)
    row, theirs = NIH_LABELS.index("Edema"), WALKTHROUGH_LABELS.index("Edema")
    assert torch.equal(found.state["classifier.weight"][row], weights.state["classifier.weight"][theirs])
    assert found.variations == {"batch_norm_epsilon": 1.001e-5, "final_relu": True}
    assert found.source["decisions"][-1] == "the last layer is theirs, in the order of the labels"
    other = read_initial_weights(path, "densenet_small", ["Edema", "Mass"])
    assert not any(name.startswith("classifier") for name in other.state)
    assert "its labels are others" in other.source["decisions"][-1]
    notop = read_initial_weights(str(small("keras2_notop.save_weights.h5")), "densenet_small", NIH_LABELS)
    assert "there is none" in notop.source["decisions"][-1]
    torch.save(dict(weights.state), tmp_path / "x.pth")
    plain = read_initial_weights(str(tmp_path / "x.pth"), "densenet_small", NIH_LABELS)
    assert "its labels are not known" in plain.source["decisions"][-1]
    torch.save({"state_dict": dict(weights.state), "labels": list(WALKTHROUGH_LABELS)}, tmp_path / "y.pth")
    named = read_initial_weights(str(tmp_path / "y.pth"), "densenet_small", NIH_LABELS)
    assert torch.equal(named.state["classifier.bias"], found.state["classifier.bias"])
    with pytest.raises(ValueError, match=r"weights of densenet121 in '.*' but they are of densenet_small"):
        read_initial_weights(path, "densenet121", NIH_LABELS)


def test_training_from_a_checkpoint_of_this_package_keeps_order_epsilon_and_activation(
    small: Small, tmp_path: Path
) -> None:
    path = str(small("keras3_flat_no_final_relu.keras"))
    model = build_foreign_model(resolve_foreign_model(path, ForeignSettings(WALKTHROUGH_LABELS, "none")))
    save_classifier(as_classifier(model), tmp_path / "own.ckpt")
    found = read_initial_weights(str(tmp_path / "own.ckpt"), "densenet_small", NIH_LABELS)
    assert found.variations == {"batch_norm_epsilon": 1.001e-5, "final_relu": False}
    row, theirs = NIH_LABELS.index("Hernia"), WALKTHROUGH_LABELS.index("Hernia")
    assert torch.equal(
        found.state["classifier.weight"][row], model.network.backbone.state_dict()["classifier.weight"][theirs]
    )
    assert any("prepared as none, 320 px, nearest" in decision for decision in found.source["decisions"])
    with pytest.raises(ValueError, match="it is a checkpoint of this package already"):
        resolve_foreign_model(str(tmp_path / "own.ckpt"), ForeignSettings(labels=NIH_LABELS))


@pytest.mark.parametrize("change", ["no bias", "two layers", "extra", "missing", "shape"])
def test_a_network_that_is_not_whole_is_never_converted(change: str, small: Small, tmp_path: Path) -> None:
    state = dict(read_foreign_weights(small("keras2_flat_dense.save_weights.h5")).state)
    if change == "no bias":
        del state["classifier.bias"]
    elif change == "two layers":
        state |= {"classifier.1.weight": torch.ones(14, 14), "classifier.1.bias": torch.ones(14)}
    elif change == "extra":
        state["features.stranger"] = torch.ones(3)
    elif change == "missing":
        del state["features.norm5.weight"]
    else:
        state["features.conv0.weight"] = torch.ones(64, 1, 7, 7)
    torch.save(state, tmp_path / "x.pth")
    with pytest.raises(ValueError, match=r"x\.pth"):
        build_foreign_model(resolve_foreign_model(str(tmp_path / "x.pth"), ForeignSettings(labels=NIH_LABELS)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image_size": 0}, "image size of at least 32 but got 0"),
        ({"mean": 100.0}, "both a mean and a standard deviation"),
        ({"mean": 100.0, "std": 50.0, "preprocessing": "imagenet"}, "beside the preprocessing imagenet"),
        ({"mean": float("nan"), "std": 50.0}, r"mean in \[0, 255\]"),
        ({"mean": 100.0, "std": float("inf")}, "positive standard deviation"),
        ({"mean": -5.0, "std": 50.0}, r"mean in \[0, 255\]"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], message: str, small: Small) -> None:
    with pytest.raises(ValueError, match=message):
        build_foreign_model(
            resolve_foreign_model(str(small("keras2_flat_dense.save_weights.h5")), ForeignSettings(**settings))
        )


def test_other_keras_files_are_not_mistaken_for_the_walkthroughs(small: Small) -> None:
    path = str(small("keras2_flat_predictions.save_weights.h5"))  # 14 outputs, but of a layer that somebody named
    with pytest.raises(ValueError, match="`labels` for the 14 outputs"):
        resolve_foreign_model(path, ForeignSettings())
    with pytest.raises(ValueError, match="`preprocessing` for"):
        resolve_foreign_model(path, ForeignSettings(labels=NIH_LABELS))
    with pytest.raises(ValueError, match="`preprocessing` for"):
        resolve_foreign_model(str(small("keras2_flat_dense.save_weights.h5")), ForeignSettings(labels=NIH_LABELS))


def test_cxr_convert_prints_its_decisions(
    small: Small, tmp_path: Path, capsys: pytest.CaptureFixture[str], make_nih: Callable[..., Path]
) -> None:
    path, out = small("keras2_flat_dense.save.h5"), tmp_path / "model.ckpt"
    assert cli.main(["convert", str(path), str(out)]) == 1
    assert "mean and standard deviation" in capsys.readouterr().err
    assert not out.exists()
    root = make_nih(tmp_path / "nih", size=320)
    assert cli.main(["convert", str(path), str(out), "--training-data", str(root), "--layout", "nih"]) == 0
    text = capsys.readouterr().out
    for expected in (
        "76 tensors, each used once",
        "256,254 parameters",
        "sha256",
        "a final ReLU, as the model's configuration says",
        "of training pixels",
    ):
        assert expected in text
    model = load_classifier(str(out))
    names = (root / "train_val_list.txt").read_text().split()
    pixels = np.stack([np.asarray(Image.open(root / "images" / name)) for name in names]).astype(float)
    # A tenth of these patients is for validation: their pixels are not among those averaged.
    assert model.hparams["mean"] == pytest.approx(pixels.mean(), rel=0.05)
    assert cli.main(["convert", str(path), str(out)]) == 1
    assert "exists already" in capsys.readouterr().err
    for arguments, message in (
        ([str(tmp_path / "absent.h5"), "x.ckpt"], "no such file"),
        ([str(tmp_path), "x.ckpt"], "it is a folder"),
        ([str(path), "x.pt"], "end in .ckpt"),
        ([str(path), "x.ckpt", "--layout", "nih"], "--training-data beside"),
        ([str(path), "x.ckpt", "--training-data", str(root), "--mean", "1", "--std", "1"], "got both"),
        ([str(path), "x.ckpt", "--training-data", str(root), "--preprocessing", "none"], "Expected no --training-data"),
        ([str(path), "/proc/none/x.ckpt", "--preprocessing", "none"], "/proc/none"),
    ):
        assert (
            cli.main(
                [
                    "convert",
                    arguments[0],
                    arguments[1] if "/" in arguments[1] else str(tmp_path / arguments[1]),
                    *arguments[2:],
                ]
            )
            == 1
        )
        error = capsys.readouterr().err
        assert message in error
        # Another test's console handler may be left over, with a stream that is closed by now.
        assert len([line for line in error.splitlines() if line.startswith("error: ")]) == 1
    assert not list(tmp_path.glob("*.tmp"))


def test_weights_name_their_backbone_and_count_their_parameters() -> None:
    plain = ForeignWeights({}, (6, 12, 24, 16), None, 1e-5, True, None, "x", ())
    assert plain.backbone_name(Path("x")) == "densenet121"
    assert plain.num_parameters == 0
