"""Write DenseNet weight files with real Keras, in every layout of Keras 2 and Keras 3, with the outputs of Keras.

The project does not depend on TensorFlow; this script runs in a separate environment:

    uv run --no-project --with tensorflow-cpu --with tf_keras --with h5py tests/tools/write_keras_files.py OUT_FOLDER

With `--manifests tests/data/keras_manifests` it also describes the small architecture's files there.

Some versions of Keras wrote other layouts. `--version-prefix` writes the small architecture alone, with the one Keras
that is installed (TensorFlow 2.12 brings Keras 2.12, and so on):

    uv run --no-project --python 3.11 --with tensorflow-cpu==2.12.0 --with h5py tests/tools/write_keras_files.py \
        OUT_FOLDER --version-prefix keras2.12 --manifests tests/data/keras_manifests

Weights are random, seeded by the layer's name, and the same in every file of one architecture. They are made to catch a
careless converter: negative gammas, exact zeros in moving variances (where epsilon is all that keeps the quotient
finite), and means and scales that differ between channels.
"""

import argparse
import gc
import importlib
import json
import sys
import time
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

LABELS = 14
IMAGES = 2
SEED = 20240229


@dataclass(frozen=True)
class Architecture:
    """A DenseNet: its blocks and the size of its images."""

    name: str
    blocks: list[int]
    size: int
    every_layout: bool = field(default=True, kw_only=True)


ARCHITECTURES = (
    Architecture("small", [2, 1, 1, 1], 64),
    Architecture("densenet121", [6, 12, 24, 16], 320),
    Architecture("densenet169", [6, 12, 32, 32], 320, every_layout=False),
    Architecture("densenet201", [6, 12, 48, 32], 320, every_layout=False),
)


def make_images(size: int) -> Array:
    """Make random images with coarse and fine structure, of about zero mean and unit variance.

    Args:
        size: Height and width.

    Returns:
        Images, height, width and channels.
    """
    rng = np.random.default_rng(SEED)
    images = np.zeros((IMAGES, size, size, 3))
    for cells in (4, 16, 64):
        coarse = rng.standard_normal((IMAGES, cells, cells, 3))
        images += coarse.repeat(size // cells, axis=1).repeat(size // cells, axis=2)
    images += 0.5 * rng.standard_normal(images.shape)
    scale = np.linspace(0.7, 1.2, IMAGES).reshape(-1, 1, 1, 1)
    return np.asarray(images * scale / images.std(), np.float32)


def draw_weights(layer: str, kind: str, shapes: list[tuple[int, ...]]) -> list[Array]:
    """Draw the weights of a layer, the same whatever its name is in the version of Keras.

    Args:
        layer: The layer's name. Keras 2's slashes and the head's name make no difference.
        kind: The layer's class.
        shapes: Shapes of its weights, in Keras's order.

    Returns:
        The weights in the same order.
    """
    canonical = "head" if kind == "Dense" else layer.replace("/", "_")
    rng = np.random.default_rng([SEED, zlib.crc32(canonical.encode())])
    weights: list[npt.NDArray[np.float64]]
    if kind == "Conv2D":
        (shape,) = shapes
        weights = [rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[:-1]))]
    elif kind == "Dense":
        weights = [rng.standard_normal(shapes[0]) * 0.3 / np.sqrt(shapes[0][0]), rng.standard_normal(shapes[1]) * 0.5]
    else:
        (channels,) = shapes[0]
        gamma = rng.uniform(0.4, 1.6, channels) * np.where(rng.random(channels) < 0.15, -1, 1)
        variance = rng.uniform(0.3, 2.0, channels)
        dead = rng.random(channels) < 0.03
        dead[rng.integers(channels)] = True  # one at least
        # With a variance of zero a channel is scaled by gamma / sqrt(epsilon), some 300: keep the product near one.
        gamma[dead] *= 3e-3
        variance[dead] = 0
        weights = [gamma, rng.standard_normal(channels) * 0.3, rng.standard_normal(channels) * 0.3, variance]
    drawn = [weight.astype(np.float32) for weight in weights]
    assert [weight.shape for weight in drawn] == shapes
    return drawn


def set_weights(model: Any) -> None:
    """Give every layer of a model, nested ones too, its weights.

    Args:
        model: A Keras 2 or Keras 3 model.
    """
    for layer in model.layers:
        if hasattr(layer, "layers"):
            set_weights(layer)
        elif layer.weights:
            shapes = [tuple(weight.shape) for weight in layer.weights]
            layer.set_weights(draw_weights(layer.name, type(layer).__name__, shapes))


def build_base(keras: ModuleType, architecture: Architecture, **options: Any) -> Any:
    """Build a DenseNet of keras.applications with this script's weights.

    Args:
        keras: The module `keras` or `tf_keras`.
        architecture: Architecture of the models.
        **options: Options of the constructor; without any, there is no head.

    Returns:
        The model.
    """
    applications = importlib.import_module(f"{keras.__name__}.applications")
    module = importlib.import_module(applications.DenseNet121.__module__)
    shape = (architecture.size, architecture.size, 3)
    options = {"include_top": False, "weights": None, "input_shape": shape, **options}
    # The general constructor is not public; the others name the model.
    named = architecture.name.startswith("densenet")
    build = getattr(module, architecture.name.replace("densenet", "DenseNet") if named else "DenseNet")
    model = build(**options) if named else build(architecture.blocks, **options)
    set_weights(model)
    return model


def add_head(
    keras: ModuleType, inputs: Any, features: Any, activation: str | None = "sigmoid", name: str | None = None
) -> Any:
    """Put the walk-through's head on features: global average pooling and one dense layer.

    Args:
        keras: The module `keras` or `tf_keras`.
        inputs: The model's input.
        features: Features that the head gets.
        activation: Activation of the dense layer.
        name: Name of the dense layer; `None` lets Keras choose.

    Returns:
        The model.
    """
    pooled = keras.layers.GlobalAveragePooling2D()(features)
    outputs = keras.layers.Dense(LABELS, activation=activation, name=name)(pooled)
    model = keras.models.Model(inputs=inputs, outputs=outputs)
    set_weights(model)
    return model


def nest(keras: ModuleType, base: Any) -> Any:
    """Put the walk-through's head on a base that stays one layer.

    Args:
        keras: The module `keras` or `tf_keras`.
        base: The base without a head.

    Returns:
        The sequential model.
    """
    layers = [base, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(LABELS, activation="sigmoid")]
    model = keras.Sequential(layers)
    if not model.built:
        model.build(base.input_shape)
    set_weights(model)
    return model


def compile_model(keras: ModuleType, model: Any, optimizer: Any = None) -> Any:
    """Compile a model and make its optimizer's variables, without a training step.

    Args:
        keras: The module `keras` or `tf_keras`.
        model: The model.
        optimizer: Optimizer; Adam by default.

    Returns:
        The model.
    """
    optimizer = optimizer or keras.optimizers.Adam(1e-3)
    model.compile(optimizer=optimizer, loss="binary_crossentropy")
    if hasattr(optimizer, "build"):
        optimizer.build(model.trainable_variables)
    else:  # the optimizers of TensorFlow 2.10 and before
        optimizer._create_all_weights(model.trainable_variables)
    return model


def write_keras2(keras: ModuleType, architecture: Architecture, folder: Path) -> Iterator[tuple[str, Any]]:
    """Write the files of Keras 2.

    Args:
        keras: The module `tf_keras`.
        architecture: Architecture of the models.
        folder: Folder to write to.

    Yields:
        Names of models and the models, whose outputs are to be recorded.
    """
    keras.backend.clear_session()
    base = build_base(keras, architecture)
    flat = add_head(keras, base.input, base.output)  # its head is `dense`
    flat.save_weights(folder / "keras2_flat_dense.save_weights.h5")
    yield "flat", flat
    yield "flat.logits", add_head(keras, base.input, base.output, None, "logits")
    if not architecture.every_layout:
        return
    base.save_weights(folder / "keras2_notop.save_weights.h5")
    yield "notop", base
    second = add_head(keras, base.input, base.output)  # its head is `dense_1`
    second.save_weights(folder / "keras2_flat_dense_1.save_weights.h5")

    before = base.get_layer("bn").output  # keras-applications before 1.0.6 ended here
    bare = add_head(keras, base.input, before, name="predictions")
    bare.save(folder / "keras2_flat_no_final_relu.save.h5")
    bare.save_weights(folder / "keras2_flat_no_final_relu.save_weights.h5")
    yield "no_final_relu", bare
    yield "no_final_relu.logits", add_head(keras, base.input, before, None, "bare_logits")

    if architecture.name == "small":
        compile_model(keras, flat, keras.optimizers.legacy.Adam(1e-3))
        flat.save(folder / "keras2_flat_dense_old_optimizer.save.h5")
    compile_model(keras, flat)
    flat.save(folder / "keras2_flat_dense.save.h5")
    keras.backend.clear_session()
    nested = nest(keras, base)
    nested.save_weights(folder / "keras2_nested.save_weights.h5")
    nested.save(folder / "keras2_nested.save.h5")
    nested.save_weights(folder / "keras2_nested.weights.h5")
    nested.save(folder / "keras2_nested.keras")
    yield "nested", nested
    flat.save_weights(folder / "keras2_flat_dense.weights.h5")
    flat.save(folder / "keras2_flat_dense.keras")

    keras.backend.clear_session()
    whole = build_base(
        keras, architecture, include_top=True, classes=LABELS, classifier_activation="sigmoid"
    )  # its head is `predictions`
    whole.save_weights(folder / "keras2_flat_predictions.save_weights.h5")
    if architecture.name == "small":
        write_graph_mode(keras, architecture, folder)


def write_graph_mode(keras: ModuleType, architecture: Architecture, folder: Path) -> None:
    """Write the file of a model that was the second in its TensorFlow 1 graph: its weights are not named as its layers.

    Args:
        keras: The module `tf_keras`.
        architecture: Architecture of the models.
        folder: Folder to write to.
    """
    tensorflow = importlib.import_module("tensorflow")
    with tensorflow.Graph().as_default():
        build_base(keras, architecture)
        base = build_base(keras, architecture)
        model = add_head(keras, base.input, base.output)
        model.save_weights(folder / "keras2_flat_second_in_graph.save_weights.h5")
    keras.backend.clear_session()


def write_keras3(keras: ModuleType, architecture: Architecture, folder: Path) -> Iterator[tuple[str, Any]]:
    """Write the files of Keras 3.

    Args:
        keras: The module `keras`.
        architecture: Architecture of the models.
        folder: Folder to write to.

    Yields:
        Names of models and the models, whose outputs are to be recorded.
    """
    keras.backend.clear_session()
    base = build_base(keras, architecture)
    flat = add_head(keras, base.input, base.output)
    flat.save_weights(folder / "keras3_flat_dense.weights.h5")
    yield "flat", flat
    yield "flat.logits", add_head(keras, base.input, base.output, None, "logits")
    if not architecture.every_layout:
        return
    base.save_weights(folder / "keras3_notop.weights.h5")
    base.save(folder / "keras3_notop.save.h5")
    yield "notop", base
    bare = add_head(keras, base.input, base.get_layer("bn").output, name="predictions")
    bare.save(folder / "keras3_flat_no_final_relu.keras")
    bare.save(folder / "keras3_flat_no_final_relu.save.h5")
    yield "no_final_relu", bare

    compile_model(keras, flat)
    flat.save(folder / "keras3_flat_dense.save.h5")
    flat.save(folder / "keras3_flat_dense.keras")
    if architecture.name == "small":
        flat.save_weights(folder / "keras3_flat_dense_compiled.weights.h5")
    keras.backend.clear_session()
    nested = nest(keras, base)
    nested.save(folder / "keras3_nested.save.h5")
    nested.save_weights(folder / "keras3_nested.weights.h5")
    nested.save(folder / "keras3_nested.keras")
    yield "nested", nested

    keras.backend.clear_session()
    whole = build_base(keras, architecture, include_top=True, classes=LABELS, classifier_activation="sigmoid")
    whole.save_weights(folder / "keras3_flat_predictions.weights.h5")


def write_version(keras: ModuleType, architecture: Architecture, folder: Path, prefix: str) -> None:
    """Write the main layouts with the version of Keras that is installed.

    Args:
        keras: The module `keras`.
        architecture: Architecture of the models.
        folder: Folder to write to; it is created.
        prefix: Start of the files' names.
    """
    folder.mkdir(parents=True, exist_ok=True)
    base = build_base(keras, architecture)
    models = {"flat_dense": add_head(keras, base.input, base.output)}
    keras.backend.clear_session()
    models["nested"] = nest(keras, base)
    for name, model in models.items():
        model.save_weights(str(folder / f"{prefix}_{name}.weights.h5"))
        model.save(str(folder / f"{prefix}_{name}.keras"))  # HDF5, before Keras 2.13
        try:
            model.save(str(folder / f"{prefix}_{name}.save.h5"))
        except ValueError as error:  # Keras 3.0 cannot: the nested layers' weights have no distinct names
            (folder / f"{prefix}_{name}.save.h5").unlink(missing_ok=True)
            print(f"{prefix}: no {name}.save.h5: {error}")


def record_outputs(models: Iterable[tuple[str, Any]], images: Array) -> dict[str, Array]:
    """Record the outputs of models for images.

    Args:
        models: Names and models.
        images: The images.

    Returns:
        Outputs by name; those of a model without a head are averaged over the image's area.
    """
    outputs = {}
    for name, model in models:
        output = np.asarray(model.predict(images, verbose=0), np.float32)
        outputs[name] = output.mean(axis=(1, 2)) if name == "notop" else output
    return outputs


def check_outputs(keras2: dict[str, Array], keras3: dict[str, Array]) -> dict[str, float]:
    """Compare Keras 2 with Keras 3, nested models with flat ones, and probabilities with logits.

    Args:
        keras2: Outputs of Keras 2's models.
        keras3: Outputs of Keras 3's models.

    Returns:
        Maximum difference of each comparison; none may exceed 1e-3.
    """
    pairs = {f"keras2 {name} - keras3 {name}": (keras2[name], keras3[name]) for name in keras2.keys() & keras3.keys()}
    pairs |= {
        f"keras2 {name} - sigmoid": (keras2[name], sigmoid(keras2[f"{name}.logits"]))
        for name in ("flat", "no_final_relu")
        if name in keras2
    }
    if "nested" in keras2:
        pairs["keras2 flat - keras2 nested"] = keras2["flat"], keras2["nested"]
    differences = {name: float(np.abs(one - other).max()) for name, (one, other) in sorted(pairs.items())}
    if bad := {name: value for name, value in differences.items() if not value < 1e-3}:
        raise SystemExit(f"The models differ: {bad}")
    return differences


def sigmoid(logits: Array) -> Array:
    """Convert logits to probabilities."""
    return np.asarray(1 / (1 + np.exp(-logits.astype(np.float64))), np.float32)


def write_architecture(architecture: Architecture, folder: Path) -> None:
    """Write all files of one architecture and Keras's outputs for them.

    Args:
        architecture: Architecture of the models.
        folder: Folder to write to; it is created.
    """
    folder.mkdir(parents=True, exist_ok=True)
    images = make_images(architecture.size)
    np.save(folder / "inputs.npy", images)
    start = time.perf_counter()
    keras2 = record_outputs(write_keras2(importlib.import_module("tf_keras"), architecture, folder), images)
    gc.collect()
    keras3 = record_outputs(write_keras3(importlib.import_module("keras"), architecture, folder), images)
    gc.collect()
    print(f"{architecture.name} took {time.perf_counter() - start:.0f} s", flush=True)
    differences = check_outputs(keras2, keras3)
    (folder / "differences.json").write_text(json.dumps(differences, indent=1) + "\n")
    names = {
        "flat": "probabilities",
        "flat.logits": "logits",
        "no_final_relu": "probabilities_no_final_relu",
        "no_final_relu.logits": "logits_no_final_relu",
        "notop": "pooled_features",
    }
    for name, output in keras2.items():
        if name in names:
            np.save(folder / f"{names[name]}.npy", output)


def write_manifests(files: Path, folder: Path) -> None:
    """Describe every weight file of a folder as JSON.

    Args:
        files: The folder with the weight files.
        folder: Folder to write to; it is created.
    """
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from tests.unit.checkpoints.foreign.layouts import manifest, to_json, trim  # on the path only now

    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(files.iterdir()):
        if path.suffix in (".h5", ".keras"):
            (folder / f"{path.name}.json").write_text(to_json(trim(manifest(path))), encoding="utf-8")


def main() -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder to write to")
    parser.add_argument("--only", nargs="+", choices=[architecture.name for architecture in ARCHITECTURES])
    parser.add_argument("--manifests", type=Path, help="describe the small architecture's files in this folder")
    parser.add_argument("--version-prefix", help="write the small architecture alone with the installed Keras")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.version_prefix:
        small = arguments.out / arguments.version_prefix
        write_version(importlib.import_module("keras"), ARCHITECTURES[0], small, arguments.version_prefix)
        if arguments.manifests:
            write_manifests(small, arguments.manifests)
        return
    names = ("tensorflow", "keras", "tf_keras", "h5py", "numpy")
    versions = {name: str(importlib.import_module(name).__version__) for name in names}
    (arguments.out / "versions.json").write_text(json.dumps(versions, indent=1) + "\n")
    for architecture in ARCHITECTURES:
        if not arguments.only or architecture.name in arguments.only:
            write_architecture(architecture, arguments.out / architecture.name)
    if arguments.manifests:
        write_manifests(arguments.out / "small", arguments.manifests)


if __name__ == "__main__":
    main()
