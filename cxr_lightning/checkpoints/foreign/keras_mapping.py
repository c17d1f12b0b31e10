"""Mapping of a Keras DenseNet's weights to the tensors of the same network in torchvision."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.checkpoints.foreign.keras_layouts import KerasLayer

KERAS_BATCH_NORM_EPSILON = 1.001e-5
"""Epsilon of the batch normalizations in Keras' DenseNet; torchvision's is 1e-5."""

_DENSE_LAYER = re.compile(r"conv(\d)_block(\d+)_(0_bn|1_conv|1_bn|2_conv)")
_TRANSITION = re.compile(r"pool(\d)_(bn|conv)")
_TORCH_DENSE_LAYER = {"0_bn": "norm1", "1_conv": "conv1", "1_bn": "norm2", "2_conv": "conv2"}
_TORCH_TENSORS = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
    "kernel": "weight",
    "bias": "bias",
}
_REQUIRED_TENSORS = {
    "batch_normalization": {"gamma", "beta", "moving_mean", "moving_variance"},
    "conv2d": {"kernel"},
}

_STEM_CHANNELS, _GROWTH_RATE = 64, 32
_MAX_OUTPUTS = 10_000
_MAX_BLOCK_LAYERS = 1000

_Shape = tuple[int, ...]


@dataclass(frozen=True)
class WeightMapping:
    """Which dataset of a Keras file becomes which tensor of torchvision's DenseNet.

    Attributes:
        datasets: Path of the dataset for each tensor, by the tensor's name in torchvision.
        blocks: Number of dense layers in each of the four dense blocks: 6, 12, 24, 16 for DenseNet-121.
        num_outputs: Number of outputs of the last layer; None if the file has no last layer.
        head_name: Name of the last layer; empty if the file has no names.
    """

    datasets: Mapping[str, str]
    blocks: tuple[int, ...]
    num_outputs: int | None
    head_name: str


def map_weights(layers: Sequence[KerasLayer], shapes: Mapping[str, _Shape]) -> WeightMapping:
    """Map every dataset to its tensor in the network.

    Args:
        layers: From :func:`~cxr_lightning.checkpoints.foreign.keras_layouts.read_keras_layers`.
        shapes: Shapes of the datasets, by path.

    Raises:
        ValueError: If the layers are not exactly those of one DenseNet; the message is a clause that begins with "it".
    """
    heads = [layer for layer in layers if layer.kind == "dense"]
    body = [layer for layer in layers if layer.kind != "dense"]
    if len(heads) > 1:
        raise ValueError(
            f"it has {len(heads)} dense layers, {[layer.name for layer in heads]}, where a DenseNet has one"
        )
    if any(not layer.name for layer in body):
        body = _name_by_order(body, shapes)
    by_name: dict[str, KerasLayer] = {}
    for layer in body:
        if layer.name in by_name:
            raise ValueError(f"it has the layer '{layer.name}' twice")
        by_name[layer.name] = layer
    blocks = _count_blocks(by_name)
    _check_layers(by_name, blocks)
    head = heads[0].tensors if heads else {}
    if heads and set(head) != {"kernel", "bias"}:
        raise ValueError(f"its dense layer has {sorted(head)}, not a kernel and a bias")
    num_outputs = shapes[head["kernel"]][-1] if heads else None
    _check_shapes(by_name, head, blocks, shapes)
    datasets = {
        f"{_torch_name(name)}.{_TORCH_TENSORS[tensor]}": path
        for name, layer in by_name.items()
        for tensor, path in layer.tensors.items()
    }
    datasets |= {f"classifier.{_TORCH_TENSORS[tensor]}": path for tensor, path in head.items()}
    return WeightMapping(datasets, blocks, num_outputs, heads[0].name if heads else "")


def _check_layers(by_name: Mapping[str, KerasLayer], blocks: Sequence[int]) -> None:
    """Refuse layers that are not exactly those of a DenseNet, or that have not exactly its tensors."""
    expected = set(_layer_names(blocks))
    missing, extra = sorted(expected - set(by_name)), sorted(set(by_name) - expected)
    incomplete = [
        f"{layer.name} ({', '.join(layer.tensors)})"
        for layer in by_name.values()
        if set(layer.tensors) != _REQUIRED_TENSORS[layer.kind]
    ]
    if missing or extra or incomplete or not any(blocks):
        raise ValueError(
            f"it is not a whole DenseNet: {len(missing)} layers are missing {missing[:5]}, {len(extra)} are not its "
            f"own {extra[:5]} and {len(incomplete)} have other weights {incomplete[:5]}"
        )


def _check_shapes(
    by_name: Mapping[str, KerasLayer], head: Mapping[str, str], blocks: Sequence[int], shapes: Mapping[str, _Shape]
) -> None:
    """Refuse tensors whose shapes are not those of a DenseNet with 64 stem channels and a growth rate of 32."""
    expected: dict[str, _Shape] = {"conv1_conv": (7, 7, 3, _STEM_CHANNELS), "conv1_bn": (_STEM_CHANNELS,)}
    channels = _STEM_CHANNELS
    for block, num_layers in enumerate(blocks, start=2):
        for layer in range(1, num_layers + 1):
            name = f"conv{block}_block{layer}"
            expected |= {f"{name}_0_bn": (channels,), f"{name}_1_conv": (1, 1, channels, 4 * _GROWTH_RATE)}
            expected |= {f"{name}_1_bn": (4 * _GROWTH_RATE,), f"{name}_2_conv": (3, 3, 4 * _GROWTH_RATE, _GROWTH_RATE)}
            channels += _GROWTH_RATE
        if block < len(blocks) + 1:
            expected |= {f"pool{block}_bn": (channels,), f"pool{block}_conv": (1, 1, channels, channels // 2)}
            channels //= 2
    expected["bn"] = (channels,)
    wrong = [
        f"{path} {shapes[path]} for {expected[name]}"
        for name, keras_layer in by_name.items()
        for path in keras_layer.tensors.values()
        if shapes[path] != expected[name]
    ]
    if head:
        kernel, bias = shapes[head["kernel"]], shapes[head["bias"]]
        if kernel[0] != channels or bias != kernel[1:] or bias[0] > _MAX_OUTPUTS:
            wrong.append(f"{head['kernel']} {kernel} and {bias} for ({channels}, outputs)")
    if wrong:
        raise ValueError(f"{len(wrong)} of its tensors have another shape than a DenseNet's: {'; '.join(wrong[:5])}")


def _count_blocks(names: Mapping[str, KerasLayer]) -> tuple[int, ...]:
    """Highest number of a dense layer in each dense block; whether the layers below it exist is checked later."""
    highest = [0, 0, 0, 0]
    for name in names:
        if (match := _DENSE_LAYER.fullmatch(name)) and 2 <= int(match[1]) <= 5:
            highest[int(match[1]) - 2] = max(highest[int(match[1]) - 2], int(match[2]))
    return tuple(min(number, _MAX_BLOCK_LAYERS) for number in highest)


def _layer_names(blocks: Sequence[int]) -> list[str]:
    """Names of all layers with weights but the last, in order, batch normalizations and convolutions mixed."""
    names = ["conv1_conv", "conv1_bn"]
    for block, num_layers in enumerate(blocks, start=2):
        names += [
            f"conv{block}_block{layer}_{part}" for layer in range(1, num_layers + 1) for part in _TORCH_DENSE_LAYER
        ]
        if block < len(blocks) + 1:
            names += [f"pool{block}_bn", f"pool{block}_conv"]
    return [*names, "bn"]


def _name_by_order(body: Sequence[KerasLayer], shapes: Mapping[str, _Shape]) -> list[KerasLayer]:
    """Name the layers of a file without names: the names follow from the order, and the shapes must match it."""
    convolutions = [layer for layer in body if layer.kind == "conv2d"]
    normalizations = [layer for layer in body if layer.kind == "batch_normalization"]
    blocks = _count_blocks_by_order([shapes[layer.tensors["kernel"]][:2] for layer in convolutions])
    names = _layer_names(blocks)
    convolution_names = [name for name in names if name.endswith("conv")]
    normalization_names = [name for name in names if name.endswith("bn")]
    if (
        len(blocks) != 4
        or len(normalizations) != len(normalization_names)
        or len(convolutions) != len(convolution_names)
    ):
        raise ValueError(
            f"it has {len(convolutions)} convolutions and {len(normalizations)} batch normalizations in {len(blocks)} "
            "blocks, not the layers of a DenseNet in their order"
        )
    pairs = [*zip(convolution_names, convolutions, strict=True), *zip(normalization_names, normalizations, strict=True)]
    return [KerasLayer(name, layer.kind, layer.tensors) for name, layer in pairs]


def _count_blocks_by_order(kernel_sizes: Sequence[_Shape]) -> list[int]:
    """Number of dense layers in each dense block, from the kernel sizes of all convolutions in order.

    A 1x1 convolution is a dense layer's first if a 3x3 one follows, and else a transition's.
    """
    blocks, index = [0], 1
    if not kernel_sizes or kernel_sizes[0] != (7, 7):
        raise ValueError(
            f"its first convolution is {kernel_sizes[0] if kernel_sizes else 'absent'}, where a DenseNet's is 7x7"
        )
    while index < len(kernel_sizes):
        if kernel_sizes[index : index + 2] == [(1, 1), (3, 3)]:
            blocks[-1] += 1
            index += 2
        elif kernel_sizes[index] == (1, 1):
            blocks.append(0)
            index += 1
        else:
            raise ValueError(
                f"its convolution number {index + 1} is {kernel_sizes[index]}, where a DenseNet has none of the kind"
            )
    return blocks


def _torch_name(name: str) -> str:
    """Name of a layer in torchvision."""
    fixed = {"conv1_conv": "features.conv0", "conv1_bn": "features.norm0", "bn": "features.norm5"}
    if name in fixed:
        return fixed[name]
    if match := _TRANSITION.fullmatch(name):
        return f"features.transition{int(match[1]) - 1}.{'norm' if match[2] == 'bn' else 'conv'}"
    match = _DENSE_LAYER.fullmatch(name)
    assert match is not None, name
    return f"features.denseblock{int(match[1]) - 1}.denselayer{match[2]}.{_TORCH_DENSE_LAYER[match[3]]}"


def to_torch_layout(name: str, array: NDArray[np.float32]) -> NDArray[np.float32]:
    """Transpose a kernel to torch's order of dimensions: (H, W, in, out) in Keras is (out, in, H, W) in torch."""
    if array.ndim == 4:
        return np.ascontiguousarray(array.transpose(3, 2, 0, 1))
    return np.ascontiguousarray(array.T) if name == "classifier.weight" else array
