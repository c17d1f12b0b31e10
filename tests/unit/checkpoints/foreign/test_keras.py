"""Keras files of every layout give the network that NumPy computes from them."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torchvision.models import DenseNet

from cxr_lightning.checkpoints.foreign.foreign_weights import ForeignWeights
from cxr_lightning.checkpoints.foreign.keras import read_keras_archive, read_keras_hdf5
from cxr_lightning.checkpoints.foreign.reader import read_foreign_weights
from tests.unit.checkpoints.foreign.conftest import MANIFESTS
from tests.unit.checkpoints.foreign.numpy_densenet import forward

# Real Keras wrote files of these layouts; the network in all of them is small: blocks (2, 1, 1, 1), growth rate 32.
LAYOUTS = sorted(path.name.removesuffix(".json") for path in MANIFESTS.glob("*.json"))
KerasFile = Callable[..., Path]


def logits(weights: ForeignWeights, image: np.ndarray) -> np.ndarray:
    """Logits of torchvision's network with the weights; pooled features where there is no last layer."""
    network = DenseNet(32, weights.blocks, 64, num_classes=weights.num_outputs or 1).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps = weights.batch_norm_epsilon
    result = network.load_state_dict(dict(weights.state), strict=False)
    assert not result.unexpected_keys
    assert all(
        name.endswith("num_batches_tracked") or (weights.num_outputs is None and name.startswith("classifier"))
        for name in result.missing_keys
    )
    with torch.no_grad():
        features = network.features(torch.from_numpy(image.transpose(2, 0, 1)[None]).float())
        features = F.relu(features) if weights.final_relu else features
        pooled = features.mean(dim=(2, 3))
        return np.asarray((pooled if weights.num_outputs is None else network.classifier(pooled))[0])


def hdf5_of(path: Path, folder: Path) -> Path:
    """The HDF5 file in an archive, unpacked, or the file itself."""
    if not zipfile.is_zipfile(path):
        return path
    with zipfile.ZipFile(path) as archive:
        (folder / "inner.h5").write_bytes(archive.read("model.weights.h5"))
    return folder / "inner.h5"


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_gives_the_logits_that_numpy_computes(name: str, keras_file: KerasFile, tmp_path: Path) -> None:
    path = keras_file(name)
    weights = read_foreign_weights(path)
    image = np.random.default_rng(1).normal(size=(64, 64, 3))
    expected = forward(hdf5_of(path, tmp_path), image, weights.blocks, final_relu="no_final_relu" not in name)
    assert weights.final_relu is ("no_final_relu" not in name)
    assert weights.num_outputs == (None if "notop" in name else 14)
    assert weights.batch_norm_epsilon == 1.001e-5
    # float32 against float64; zero variances amplify by 1 / sqrt(1e-5).
    np.testing.assert_allclose(logits(weights, image), expected, rtol=2e-4, atol=2e-4 * np.abs(expected).max())


@pytest.mark.usefixtures("in_process")
def test_negative_gammas_and_zero_variances_are_not_changed(keras_file: KerasFile) -> None:
    weights = read_foreign_weights(keras_file("keras2_flat_dense.save_weights.h5"))
    gammas = torch.cat([value for name, value in weights.state.items() if "norm" in name and name.endswith("weight")])
    variances = torch.cat([value for name, value in weights.state.items() if name.endswith("running_var")])
    assert (gammas < 0).any()
    assert (variances == 0).any()


def test_a_file_is_read_in_a_separate_process_and_identified_by_content(keras_file: KerasFile, tmp_path: Path) -> None:
    path = keras_file("keras3_flat_dense.weights.h5")
    renamed = path.rename(tmp_path / "weights.bin")
    assert read_foreign_weights(renamed).num_parameters == 256_254
    archive = keras_file("keras3_flat_dense.keras").rename(tmp_path / "model.zip")
    assert read_foreign_weights(archive).num_parameters == 256_254


def corrupt(path: Path, change: Callable[[h5py.File], None]) -> Path:
    with h5py.File(path, "r+") as file:
        change(file)
    return path


CONV = "conv3_block1_1_conv"


def drop(file: h5py.File) -> None:
    del file[CONV][CONV]["kernel:0"]


def forget(file: h5py.File) -> None:
    names = [name for name in file.attrs["layer_names"] if name != CONV]
    del file.attrs["layer_names"], file[CONV]
    file.attrs["layer_names"] = names


def reshape(file: h5py.File) -> None:
    del file[CONV][CONV]["kernel:0"]
    file[CONV][CONV]["kernel:0"] = np.zeros((3, 3, 8, 8), "f4")


def nan_weight(file: h5py.File) -> None:
    file["bn/bn/gamma:0"][3] = np.nan


def negative(file: h5py.File) -> None:
    file["bn/bn/moving_variance:0"][3] = -1


def second_head(file: h5py.File) -> None:
    file.create_group("hidden").attrs["weight_names"] = ["kernel:0"]
    file["hidden/kernel:0"] = np.zeros((4, 4), "f4")
    names = [*file.attrs["layer_names"], "hidden"]
    del file.attrs["layer_names"]
    file.attrs["layer_names"] = names


def other_bias(file: h5py.File) -> None:
    file[CONV].attrs["weight_names"] = [f"{CONV}/kernel:0", f"{CONV}/bias:0"]
    file[f"{CONV}/{CONV}/bias:0"] = np.zeros(128, "f4")


def unlisted(file: h5py.File) -> None:
    file["dense_9/dense_9/kernel:0"] = np.zeros((4, 4), "f4")


def unwritten(file: h5py.File) -> None:
    del file["bn/bn/gamma:0"]
    file["bn/bn"].create_dataset("gamma:0", shape=file["bn/bn/beta:0"].shape, dtype="f4")


def unwritten_chunks(file: h5py.File) -> None:
    shape = file["bn/bn/beta:0"].shape
    del file["bn/bn/gamma:0"]
    file["bn/bn"].create_dataset("gamma:0", shape=shape, dtype="f4", chunks=(8,))[:16] = 1


def large_chunk(file: h5py.File) -> None:
    shape = file["bn/bn/beta:0"].shape
    del file["bn/bn/gamma:0"]
    chunks = {"chunks": (4_000_000,), "maxshape": (None,), "compression": "gzip"}
    file["bn/bn"].create_dataset("gamma:0", data=np.ones(shape, "f4"), **chunks)


WRONG: dict[str, tuple[Callable[[h5py.File], None], str]] = {
    "a dataset that is named is not there": (drop, rf"'{CONV}/{CONV}/kernel:0' and has no such dataset"),
    "a layer is missing": (forget, rf"1 layers are missing \['{CONV}'\]"),
    "a kernel has another shape": (
        reshape,
        r"1 of its tensors have another shape .*kernel:0 \(3, 3, 8, 8\) for \(1, 1, 64, 128\)",
    ),
    "a weight is NaN": (nan_weight, r"1 tensors hold NaN.*features\.norm5\.weight"),
    "a variance is negative": (negative, r"negative variance: features\.norm5\.running_var"),
    "there are two dense layers": (second_head, r"2 dense layers, \['dense', 'hidden'\]"),
    "a dataset is in no list": (unlisted, r"1 datasets that its lists do not name, \['dense_9/dense_9/kernel:0'\]"),
    "a dataset was never written": (unwritten, r"'bn/bn/gamma:0' claims [\d,]+ bytes and has 0"),
    "chunks are missing": (unwritten_chunks, r"'bn/bn/gamma:0' has 2 of its \d+ chunks"),
    "a chunk is larger than all": (large_chunk, r"'bn/bn/gamma:0' has [\d,]+ bytes in chunks of 16,000,000"),
    "a convolution has a bias": (other_bias, rf"other weights \['{CONV} \(kernel, bias\)'\]"),
}


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize("name", WRONG)
def test_a_file_that_is_not_exactly_a_densenet_is_refused_with_names(name: str, keras_file: KerasFile) -> None:
    change, message = WRONG[name]
    path = corrupt(keras_file("keras2_flat_dense.save_weights.h5"), change)
    with pytest.raises(ValueError, match=message):
        read_foreign_weights(path)


@pytest.mark.usefixtures("in_process")
def test_numbered_layers_in_another_order_are_refused(keras_file: KerasFile) -> None:
    def exchange(file: h5py.File) -> None:
        layers = file["layers"]
        first, second = np.asarray(layers["conv2d_1/vars/0"]), np.asarray(layers["conv2d_2/vars/0"])
        for name, value in (("conv2d_1", second), ("conv2d_2", first)):
            del layers[f"{name}/vars/0"]
            layers[f"{name}/vars/0"] = value

    path = corrupt(keras_file("keras2_nested.weights.h5".replace("nested", "flat_dense")), exchange)
    with pytest.raises(ValueError, match="its convolution number 2 is"):
        read_foreign_weights(path)


@pytest.mark.usefixtures("in_process")
def test_lists_of_names_stored_in_parts_are_joined(keras_file: KerasFile) -> None:
    def split(file: h5py.File) -> None:
        names = list(file.attrs["layer_names"])
        del file.attrs["layer_names"]
        file.attrs["layer_names0"], file.attrs["layer_names1"] = names[:20], names[20:]

    path = keras_file("keras2_flat_dense.save_weights.h5")
    before = read_foreign_weights(path)
    after = read_foreign_weights(corrupt(path, split))
    assert before.state.keys() == after.state.keys()


@pytest.mark.usefixtures("in_process")
def test_other_networks_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "vgg.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = ["block1_conv1", "fc1"]
        for layer, shape in (("block1_conv1", (3, 3, 3, 64)), ("fc1", (512, 4096))):
            file.create_group(layer).attrs["weight_names"] = [f"{layer}/kernel:0", f"{layer}/bias:0"]
            file[f"{layer}/{layer}/kernel:0"] = np.zeros(shape, "f4")
            file[f"{layer}/{layer}/bias:0"] = np.zeros(shape[-1], "f4")
    with pytest.raises(ValueError, match=r"Keras DenseNet in '.*vgg\.h5' but it is not a whole DenseNet.*block1_conv1"):
        read_foreign_weights(path)
    with h5py.File(path, "w") as file:
        file["data"] = np.zeros(3, "f4")
    with pytest.raises(ValueError, match=r"it holds 'data', which is no layer's weight"):
        read_keras_hdf5(path)
    with h5py.File(path, "w"):
        pass
    with pytest.raises(ValueError, match="none of Keras' layouts"):
        read_keras_hdf5(path)


def archive_with(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "."), content)
    return path


def test_hostile_archives_are_refused(tmp_path: Path) -> None:
    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        file["x"] = np.zeros(3, "f4")
    cases = {
        "bomb": ({"model__weights__h5": bytes(50_000_000)}, "claims 50,000,000 bytes unpacked from"),
        "outside": (
            {"..//model__weights__h5": b"", "model__weights__h5": weights.getvalue()},
            "leads out of the archive",
        ),
        "absolute": ({"//etc//passwd": b"x"}, "leads out of the archive"),
        "none": ({"config__json": b"{}"}, r"its members are \['config.json'\]"),
        "no hdf5": ({"model__weights__h5": b"<html>"}, r"it is damaged"),
    }
    for name, (members, message) in cases.items():
        path = archive_with(
            tmp_path / f"{name}.keras", **{key.replace("//", "/"): value for key, value in members.items()}
        )
        with pytest.raises(ValueError, match=rf"'.*{name}\.keras' but .*{message}"):
            read_keras_archive(path)
    (tmp_path / "cut.keras").write_bytes((tmp_path / "none.keras").read_bytes()[:-30])
    with pytest.raises(ValueError, match=r"cut\.keras' but it is damaged"):
        read_foreign_weights(tmp_path / "cut.keras")


@pytest.mark.usefixtures("in_process")
def test_epsilon_and_final_activation_are_those_of_the_configuration(keras_file: KerasFile) -> None:
    path = keras_file("keras2_flat_dense.save.h5")

    def change(file: h5py.File) -> None:
        config = json.loads(file.attrs["model_config"])
        for layer in config["config"]["layers"]:
            if layer["class_name"] == "BatchNormalization":
                layer["config"]["epsilon"] = 0.001
        del file.attrs["model_config"]
        file.attrs["model_config"] = json.dumps(config)

    weights = read_foreign_weights(corrupt(path, change))
    assert weights.batch_norm_epsilon == 0.001
    assert any("as the model's configuration says" in decision for decision in weights.decisions)


def change_config(path: Path, change: Callable[[list[dict[str, Any]]], None]) -> Path:
    def rewrite(file: h5py.File) -> None:
        config = json.loads(file.attrs["model_config"])
        change(config["config"]["layers"])
        del file.attrs["model_config"]
        file.attrs["model_config"] = json.dumps(config)

    return corrupt(path, rewrite)


def layer_of(layers: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    return next(layer for layer in layers if layer["class_name"] == kind)


def softmax(layers: list[dict[str, Any]]) -> None:
    layer_of(layers, "Dense")["config"]["activation"] = "softmax"


def maximum(layers: list[dict[str, Any]]) -> None:
    layer_of(layers, "GlobalAveragePooling2D")["class_name"] = "GlobalMaxPooling2D"


def rescaling(layers: list[dict[str, Any]]) -> None:
    layers.insert(1, {"class_name": "Rescaling", "config": {"name": "rescaling", "scale": 1 / 255}})


def two_epsilons(layers: list[dict[str, Any]]) -> None:
    layer_of(layers, "BatchNormalization")["config"]["epsilon"] = 0.001


def endless_epsilon(layers: list[dict[str, Any]]) -> None:
    for layer in layers:
        if layer["class_name"] == "BatchNormalization":
            layer["config"]["epsilon"] = 10**400


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (softmax, "activation is softmax, not sigmoid"),
        (maximum, "a layer GlobalMaxPooling2D"),
        (rescaling, "prepares images by a layer Rescaling"),
        (two_epsilons, r"the epsilons \[0\.001, 0\.001001\]|the epsilons \[1\.001e-05, 0\.001\]"),
        (endless_epsilon, r"the epsilons \[inf\]"),
    ],
)
@pytest.mark.parametrize("name", ["keras2_flat_dense.save.h5", "keras3_flat_dense.save.h5"])
def test_models_that_compute_something_else_are_refused(
    name: str, change: Callable[[list[dict[str, Any]]], None], message: str, keras_file: KerasFile
) -> None:
    with pytest.raises(ValueError, match=message):
        read_foreign_weights(change_config(keras_file(name), change))


@pytest.mark.usefixtures("in_process")
def test_the_final_activation_is_found_by_its_input_whatever_its_name(keras_file: KerasFile) -> None:
    path = keras_file("keras2_flat_dense.save.h5")

    def rename(file: h5py.File) -> None:
        config = (
            file.attrs["model_config"]
            .replace('"relu"', '"activation_7"')
            .replace('"activation": "activation_7"', '"activation": "relu"')
        )
        del file.attrs["model_config"]
        file.attrs["model_config"] = config

    assert read_foreign_weights(corrupt(path, rename)).final_relu is True


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize(
    "text", ['{"config": {"layers": [{"config": [1]}, 7, {"config": 3}]}}', "[]", "", "[" * 99 + "]" * 99]
)
def test_configurations_of_another_structure_are_ignored(text: str, keras_file: KerasFile) -> None:
    def replace(file: h5py.File) -> None:
        file.attrs["model_config"] = text

    weights = read_foreign_weights(corrupt(keras_file("keras2_flat_dense.save.h5"), replace))
    assert weights.batch_norm_epsilon == 1.001e-5


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize("text", ["[" * 60_000, "{", '{"a": NaN}', '{"config": {}, "config": {}}'])
def test_configurations_that_cannot_be_read_are_refused(text: str, keras_file: KerasFile) -> None:
    """They may say that the model prepares images, so they are not taken for absent."""

    def replace(file: h5py.File) -> None:
        file.attrs["model_config"] = text

    with pytest.raises(ValueError, match=r"but its configuration cannot be read \(.*Give a file of DenseNet"):
        read_foreign_weights(corrupt(keras_file("keras2_flat_dense.save.h5"), replace))


def test_a_compressed_archive_with_changed_bytes_is_refused(keras_file: KerasFile, tmp_path: Path) -> None:
    path = keras_file("keras3_flat_dense.keras")
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    deflated = tmp_path / "deflated.keras"
    with zipfile.ZipFile(deflated, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    damaged = deflated.read_bytes()
    for place in range(len(damaged) // 3, len(damaged) // 2, len(damaged) // 40):
        changed = bytearray(damaged)
        changed[place : place + 50] = bytes(50)
        deflated.write_bytes(changed)
        with pytest.raises(ValueError, match=r"deflated\.keras"):
            read_foreign_weights(deflated)
