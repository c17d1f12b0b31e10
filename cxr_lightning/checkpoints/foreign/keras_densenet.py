"""A DenseNet's layers in Keras to the same network's tensors in torchvision."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.checkpoints.foreign.keras_layouts import Layer

EPSILON = 1.001e-5
"""Of Keras' batch normalisations in a DenseNet; torchvision's is 1e-5."""

_LAYER = re.compile(r"conv(\d)_block(\d+)_(0_bn|1_conv|1_bn|2_conv)")
_POOL = re.compile(r"pool(\d)_(bn|conv)")
_INNER = {"0_bn": "norm1", "1_conv": "conv1", "1_bn": "norm2", "2_conv": "conv2"}
_TENSORS = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
    "kernel": "weight",
    "bias": "bias",
}
_COMPLETE = {"batch_normalization": {"gamma", "beta", "moving_mean", "moving_variance"}, "conv2d": {"kernel"}}

_STEM, _GROWTH = 64, 32
_MOST_OUTPUTS = 10_000

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """Which dataset becomes which tensor.

    Attributes:
        sources: Path of a dataset by the name of the tensor, in torchvision's spelling.
        blocks: Dense layers in each of the four blocks: 6, 12, 24, 16 for DenseNet-121.
        outputs: Of the last layer; None if the file has none.
        head: Its name; empty if the file has no names.
    """

    sources: Mapping[str, str]
    blocks: tuple[int, ...]
    outputs: int | None
    head: str


def plan(layers: Sequence[Layer], shapes: Mapping[str, Shape]) -> Plan:
    """Give every dataset its place in the network.

    Args:
        layers: From :func:`~cxr_lightning.checkpoints.foreign.keras_layouts.read_layers`.
        shapes: Of the datasets, by path.

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
    names: dict[str, Layer] = {}
    for layer in body:
        if layer.name in names:
            raise ValueError(f"it has the layer '{layer.name}' twice")
        names[layer.name] = layer
    blocks = _count_blocks(names)
    expected = set(_layer_names(blocks))
    missing, extra = sorted(expected - set(names)), sorted(set(names) - expected)
    incomplete = [
        f"{layer.name} ({', '.join(layer.tensors)})" for layer in body if set(layer.tensors) != _COMPLETE[layer.kind]
    ]
    if missing or extra or incomplete or not any(blocks):
        raise ValueError(
            f"it is not a whole DenseNet: {len(missing)} layers are missing {missing[:5]}, {len(extra)} are not its "
            f"own {extra[:5]} and {len(incomplete)} have other weights {incomplete[:5]}"
        )
    outputs, head = None, heads[0].tensors if heads else {}
    if heads and set(head) != {"kernel", "bias"}:
        raise ValueError(f"its dense layer has {sorted(head)}, not a kernel and a bias")
    if heads:
        outputs = shapes[head["kernel"]][-1]
    _check_shapes(names, head, blocks, shapes)
    sources = {
        f"{_torch_name(name)}.{_TENSORS[tensor]}": path
        for name, layer in names.items()
        for tensor, path in layer.tensors.items()
    }
    sources |= {f"classifier.{_TENSORS[tensor]}": path for tensor, path in head.items()}
    return Plan(sources, blocks, outputs, heads[0].name if heads else "")


def _check_shapes(
    names: Mapping[str, Layer], head: Mapping[str, str], blocks: Sequence[int], shapes: Mapping[str, Shape]
) -> None:
    """Refuse tensors that have not the shapes of a DenseNet with a stem of 64 channels and a growth of 32."""
    expected: dict[str, Shape] = {"conv1_conv": (7, 7, 3, _STEM), "conv1_bn": (_STEM,)}
    channels = _STEM
    for block, layers in enumerate(blocks, start=2):
        for layer in range(1, layers + 1):
            name = f"conv{block}_block{layer}"
            expected |= {f"{name}_0_bn": (channels,), f"{name}_1_conv": (1, 1, channels, 4 * _GROWTH)}
            expected |= {f"{name}_1_bn": (4 * _GROWTH,), f"{name}_2_conv": (3, 3, 4 * _GROWTH, _GROWTH)}
            channels += _GROWTH
        if block < len(blocks) + 1:
            expected |= {f"pool{block}_bn": (channels,), f"pool{block}_conv": (1, 1, channels, channels // 2)}
            channels //= 2
    expected["bn"] = (channels,)
    wrong = [
        f"{path} {shapes[path]} for {expected[name]}"
        for name, layer in names.items()
        for path in layer.tensors.values()
        if shapes[path] != expected[name]
    ]
    if head:
        kernel, bias = shapes[head["kernel"]], shapes[head["bias"]]
        if kernel[0] != channels or bias != kernel[1:] or bias[0] > _MOST_OUTPUTS:
            wrong.append(f"{head['kernel']} {kernel} and {bias} for ({channels}, outputs)")
    if wrong:
        raise ValueError(f"{len(wrong)} of its tensors have another shape than a DenseNet's: {'; '.join(wrong[:5])}")


def _count_blocks(names: Mapping[str, Layer]) -> tuple[int, ...]:
    """The highest number of a dense layer in each block; the names are checked against it."""
    highest = [0, 0, 0, 0]
    for name in names:
        if (match := _LAYER.fullmatch(name)) and 2 <= int(match[1]) <= 5:
            highest[int(match[1]) - 2] = max(highest[int(match[1]) - 2], int(match[2]))
    return tuple(min(number, 1000) for number in highest)


def _layer_names(blocks: Sequence[int]) -> list[str]:
    """All layers with weights but the last, in order, batch normalisations and convolutions mixed."""
    names = ["conv1_conv", "conv1_bn"]
    for block, layers in enumerate(blocks, start=2):
        names += [f"conv{block}_block{layer}_{part}" for layer in range(1, layers + 1) for part in _INNER]
        if block < len(blocks) + 1:
            names += [f"pool{block}_bn", f"pool{block}_conv"]
    return [*names, "bn"]


def _name_by_order(body: Sequence[Layer], shapes: Mapping[str, Shape]) -> list[Layer]:
    """Names for a file without any: the order says them, and the shapes must agree.

    A 1x1 convolution is a dense layer's first if a 3x3 one follows, and else a transition's.
    """
    convolutions = [layer for layer in body if layer.kind == "conv2d"]
    normalizations = [layer for layer in body if layer.kind == "batch_normalization"]
    sides = [shapes[layer.tensors["kernel"]][:2] for layer in convolutions]
    blocks, place = [0], 1
    if not sides or sides[0] != (7, 7):
        raise ValueError(f"its first convolution is {sides[0] if sides else 'absent'}, where a DenseNet's is 7x7")
    while place < len(sides):
        if sides[place : place + 2] == [(1, 1), (3, 3)]:
            blocks[-1] += 1
            place += 2
        elif sides[place] == (1, 1):
            blocks.append(0)
            place += 1
        else:
            raise ValueError(
                f"its convolution number {place + 1} is {sides[place]}, where a DenseNet has none of the kind"
            )
    names = _layer_names(blocks)
    of_convolutions = [name for name in names if name.endswith("conv")]
    of_normalizations = [name for name in names if name.endswith("bn")]
    if len(blocks) != 4 or len(normalizations) != len(of_normalizations) or len(convolutions) != len(of_convolutions):
        raise ValueError(
            f"it has {len(convolutions)} convolutions and {len(normalizations)} batch normalisations in {len(blocks)} "
            "blocks, not the layers of a DenseNet in their order"
        )
    pairs = [*zip(of_convolutions, convolutions, strict=True), *zip(of_normalizations, normalizations, strict=True)]
    return [Layer(name, layer.kind, layer.tensors) for name, layer in pairs]


def _torch_name(name: str) -> str:
    """A layer's name in torchvision."""
    plain = {"conv1_conv": "features.conv0", "conv1_bn": "features.norm0", "bn": "features.norm5"}
    if name in plain:
        return plain[name]
    if match := _POOL.fullmatch(name):
        return f"features.transition{int(match[1]) - 1}.{'norm' if match[2] == 'bn' else 'conv'}"
    match = _LAYER.fullmatch(name)
    assert match is not None, name
    return f"features.denseblock{int(match[1]) - 1}.denselayer{match[2]}.{_INNER[match[3]]}"


def turned(name: str, array: NDArray[np.float32]) -> NDArray[np.float32]:
    """A tensor in torch's order of dimensions: kernels are (H, W, in, out) in Keras and (out, in, H, W) in torch."""
    if array.ndim == 4:
        return np.ascontiguousarray(array.transpose(3, 2, 0, 1))
    return np.ascontiguousarray(array.T) if name == "classifier.weight" else array
