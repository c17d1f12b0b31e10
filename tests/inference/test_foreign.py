"""Foreign weights to a model: what is decided, what must be given, and that nothing changes on the way."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from cxr_lightning import cli
from cxr_lightning.conversion.read import read_source
from cxr_lightning.conversion.source import BLOCKS, Source
from cxr_lightning.inference.checkpoints import load_model
from cxr_lightning.inference.foreign import Settings, build_model, initial_state, read_foreign, save_model
from cxr_lightning.labels import NIH_LABELS, WALKTHROUGH_LABELS
from cxr_lightning.models import backbones
from cxr_lightning.models.classifier import ChestXRayClassifier
from tests.conversion.conftest import build

Small = Callable[[str], Path]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Small:
    """Makes a Keras file of a small DenseNet, and the small DenseNet known under a name of its own."""
    monkeypatch.setitem(BLOCKS, "densenet_small", (2, 1, 1, 1))
    settings = {"growth_rate": 32, "block_config": (2, 1, 1, 1), "num_init_features": 64}
    monkeypatch.setitem(backbones._DENSENETS, "densenet_small", settings)
    monkeypatch.setitem(backbones._HEADS, "densenet_small", "classifier")
    return lambda name: build(name, tmp_path)


def test_a_walkthrough_file_brings_its_labels_size_and_interpolation(small: Small) -> None:
    foreign = read_foreign(str(small("keras2_flat_dense.save_weights.h5")), Settings(mean=120, std=60))
    assert foreign.labels == WALKTHROUGH_LABELS
    assert (foreign.settings.image_size, foreign.settings.interpolation) == (320, "nearest")
    assert foreign.settings.preprocessing == "featurewise"
    model = build_model(foreign)
    assert model.hparams["batch_norm_epsilon"] == 1.001e-5
    assert model.record["source"]["sha256"] == foreign.sha256
    assert any("walk-through's order" in words for words in foreign.decisions)
    assert any("image size 320, the default" in words for words in foreign.decisions)


def test_the_models_logits_are_those_of_the_normalised_image(small: Small) -> None:
    path = small("keras2_flat_dense.save_weights.h5")
    model = build_model(read_foreign(str(path), Settings(mean=120, std=60, image_size=64)))
    image = torch.randint(0, 256, (2, 1, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    pixels = ((image.float() - 120) / 60).expand(-1, 3, -1, -1)
    state = read_source(path).state
    network = model.network
    with torch.no_grad():
        features = network.get_submodule("features")(pixels)
        expected = F.relu(features).mean(dim=(2, 3)) @ state["classifier.weight"].T + state["classifier.bias"]
        # Variances of exactly zero amplify the rounding of float32 by 1 / sqrt(1e-5).
        torch.testing.assert_close(model(image), expected, rtol=2e-4, atol=2e-4 * float(expected.abs().max()))


def test_convert_save_load_and_predict_give_identical_bits(small: Small, tmp_path: Path) -> None:
    path = small("keras3_flat_no_final_relu.keras")
    model = build_model(read_foreign(str(path), Settings(preprocessing="samplewise", image_size=64)))
    assert model.hparams["final_relu"] is False
    save_model(model, tmp_path / "out" / "model.ckpt")
    again = load_model(str(tmp_path / "out" / "model.ckpt"))
    image = torch.randint(0, 256, (2, 1, 64, 64), dtype=torch.uint8)
    with torch.no_grad():
        assert torch.equal(model(image), again(image))
    assert again.labels == WALKTHROUGH_LABELS
    assert again.record["source"]["file"] == path.name
    assert "data" not in again.record
    with pytest.raises(ValueError, match="exists already"):
        save_model(model, tmp_path / "out" / "model.ckpt")


def test_statistics_that_are_wanted_and_not_given_are_asked_for(small: Small) -> None:
    foreign = read_foreign(str(small("keras2_flat_dense.save_weights.h5")), Settings())
    assert foreign.needs_statistics
    with pytest.raises(ValueError, match=r"mean and standard deviation of training pixels .* Give `mean` and `std`"):
        build_model(foreign)
    assert build_model(foreign, 100.0, 50.0).hparams["mean"] == 100.0


def test_a_file_without_a_last_layer_is_for_training(small: Small) -> None:
    with pytest.raises(
        ValueError, match=r"it has none\. Train one on it: train\.py model=densenet_small model\.weights="
    ):
        read_foreign(str(small("keras3_notop.weights.h5")), Settings())


def test_labels_of_other_sources_must_be_given_and_be_as_many_as_outputs(small: Small, tmp_path: Path) -> None:
    torch.save(dict(read_source(small("keras2_flat_dense.save_weights.h5")).state), tmp_path / "x.pth")
    with pytest.raises(ValueError, match="`labels` for the 14 outputs"):
        read_foreign(str(tmp_path / "x.pth"), Settings())
    with pytest.raises(ValueError, match=r"14 labels for the outputs of '.*x\.pth' but got 2"):
        read_foreign(str(tmp_path / "x.pth"), Settings(labels=["A", "B"]))
    foreign = read_foreign(str(tmp_path / "x.pth"), Settings(labels=NIH_LABELS))
    assert (foreign.settings.preprocessing, foreign.settings.image_size) == ("imagenet", 224)
    assert foreign.source.batch_norm_epsilon == 1e-5


def test_final_relu_can_be_given_where_the_file_does_not_say(small: Small) -> None:
    path = str(small("keras2_nested.save_weights.h5"))
    given = Settings(preprocessing="none", final_relu=False)
    assert build_model(read_foreign(path, given)).hparams["final_relu"] is False
    assert build_model(read_foreign(path, Settings(preprocessing="none"))).hparams["final_relu"] is True


def test_an_unknown_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"network among .*densenet201.* blocks have \[2, 1, 1, 1\] layers"):
        read_foreign(str(build("keras2_flat_dense.save_weights.h5", tmp_path)), Settings())


def test_training_starts_from_outputs_in_the_models_order_or_new_ones(small: Small) -> None:
    source = read_source(small("keras2_flat_dense.save_weights.h5"))
    state = initial_state(source, NIH_LABELS)
    row = NIH_LABELS.index("Edema")
    assert torch.equal(
        state["classifier.weight"][row], source.state["classifier.weight"][WALKTHROUGH_LABELS.index("Edema")]
    )
    assert not any(name.startswith("classifier") for name in initial_state(source, ["Edema", "Mass"]))
    notop = read_source(small("keras2_notop.save_weights.h5"))
    assert set(initial_state(notop, NIH_LABELS)) == set(notop.state)
    model = ChestXRayClassifier(NIH_LABELS, backbone="densenet_small", weights=initial_state(notop, NIH_LABELS))
    assert torch.equal(model.network.state_dict()["features.conv0.weight"], notop.state["features.conv0.weight"])


def test_cxr_convert_says_what_it_decided(
    small: Small, tmp_path: Path, capsys: pytest.CaptureFixture[str], make_nih: Callable[..., Path]
) -> None:
    path, out = small("keras2_flat_dense.save.h5"), tmp_path / "model.ckpt"
    assert cli.main(["convert", str(path), str(out)]) == 1
    assert "mean and standard deviation" in capsys.readouterr().err
    assert not out.exists()
    root = make_nih(tmp_path / "nih", size=320)
    assert cli.main(["convert", str(path), str(out), "--training-data", str(root), "--layout", "nih"]) == 0
    text = capsys.readouterr().out
    for words in (
        "76 tensors, each used once",
        "256,254 parameters",
        "sha256",
        "a final ReLU, as the model's configuration says",
        "of training pixels",
    ):
        assert words in text
    model = load_model(str(out))
    from PIL import Image

    names = (root / "train_val_list.txt").read_text().split()
    pixels = np.stack([np.asarray(Image.open(root / "images" / name)) for name in names]).astype(float)
    # A tenth of these patients is for validation: their pixels are not among those averaged.
    assert model.hparams["mean"] == pytest.approx(pixels.mean(), rel=0.05)
    assert cli.main(["convert", str(path), str(out)]) == 1
    assert "exists already" in capsys.readouterr().err
    assert cli.main(["convert", str(tmp_path / "absent.h5"), str(tmp_path / "x.ckpt")]) == 1
    assert "no such file" in capsys.readouterr().err


def test_sources_compare_by_what_they_hold() -> None:
    plain = Source({}, (6, 12, 24, 16), None, 1e-5, True, None, "x", ())
    assert plain.backbone(Path("x")) == "densenet121"
    assert plain.parameters == 0
