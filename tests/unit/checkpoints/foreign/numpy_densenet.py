"""A DenseNet in NumPy that takes a Keras file's weights in the order of its layers: a second source for conversions.

It uses no layer's name: it takes convolutions and batch normalizations one after the other, as the network runs.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Array = NDArray[np.float64]
BATCH_NORM_EPSILON = 1.001e-5
NORMALIZATION = ("gamma", "beta", "moving_mean", "moving_variance")


def weights_in_order(file: h5py.File) -> tuple[list[Array], list[list[Array]], list[Array]]:
    """Kernels of the convolutions, the four vectors of each batch normalization, and the dense layer's two."""
    root = file.get("model_weights", file)
    layers = list(_named(root)) if "layer_names" in root.attrs else list(_numbered(file))
    kernels = [layer[0] for layer in layers if layer[0].ndim == 4]
    normalizations = [layer for layer in layers if len(layer) == 4]
    dense = [layer for layer in layers if layer[0].ndim == 2]
    return kernels, normalizations, dense[0] if dense else []


def _named(root: Any) -> Iterator[list[Array]]:
    for layer in root.attrs["layer_names"]:
        inner: dict[str, dict[str, Array]] = {}
        for name in root[layer].attrs["weight_names"]:
            owner, _, kind = str(name).rpartition("/")
            inner.setdefault(owner, {})[kind.partition(":")[0]] = np.asarray(root[layer][name], dtype=np.float64)
        for found in inner.values():
            order = NORMALIZATION if "gamma" in found else ("kernel", "bias")
            yield [found[kind] for kind in order if kind in found]


def _numbered(file: h5py.File) -> Iterator[list[Array]]:
    found: dict[tuple[str, int], dict[int, Array]] = {}

    def visit(name: str, node: Any) -> None:
        match = re.search(r"/(conv2d|batch_normalization|dense)(?:_(\d+))?/vars/(\d)$", name)
        if match and isinstance(node, h5py.Dataset):
            layer = found.setdefault((match[1], int(match[2] or 0)), {})
            layer[int(match[3])] = np.asarray(node, dtype=np.float64)

    file.visititems(visit)
    for key in sorted(found):
        yield [found[key][place] for place in sorted(found[key])]


def forward(path: Path, image: Array, blocks: tuple[int, ...], *, final_relu: bool) -> Array:
    """Logits of one image, or its pooled features where there is no dense layer.

    Args:
        path: An HDF5 file.
        image: ``(H, W, 3)``.
        blocks: Dense layers in each block.
        final_relu: Whether an activation follows the last batch normalization.
    """
    with h5py.File(path, "r") as file:
        kernels, normalizations, dense = weights_in_order(file)
    convolve, normalize = iter(kernels), iter(normalizations)
    x = _relu(_normalize(_convolve(image, next(convolve), stride=2, padding=3), next(normalize)))
    x = _pool(x)
    for number, layers in enumerate(blocks):
        for _ in range(layers):
            y = _convolve(_relu(_normalize(x, next(normalize))), next(convolve))
            y = _convolve(_relu(_normalize(y, next(normalize))), next(convolve), padding=1)
            x = np.concatenate([x, y], axis=-1)
        if number < len(blocks) - 1:
            x = _convolve(_relu(_normalize(x, next(normalize))), next(convolve))
            height, width = x.shape[0] // 2, x.shape[1] // 2
            x = x[: 2 * height, : 2 * width].reshape(height, 2, width, 2, -1).mean(axis=(1, 3))
    x = _normalize(x, next(normalize))
    x = _relu(x) if final_relu else x
    assert next(convolve, None) is None
    assert next(normalize, None) is None
    pooled: Array = x.mean(axis=(0, 1))
    return pooled @ dense[0] + dense[1] if dense else pooled


def _convolve(x: Array, kernel: Array, *, stride: int = 1, padding: int = 0) -> Array:
    padded = np.pad(x, ((padding, padding), (padding, padding), (0, 0)))
    windows = sliding_window_view(padded, kernel.shape[:2], axis=(0, 1))[::stride, ::stride]  # (H, W, in, kh, kw)
    return np.tensordot(windows, kernel, axes=((2, 3, 4), (2, 0, 1)))


def _normalize(x: Array, parameters: list[Array]) -> Array:
    gamma, beta, mean, variance = parameters
    return (x - mean) / np.sqrt(variance + BATCH_NORM_EPSILON) * gamma + beta


def _relu(x: Array) -> Array:
    return np.maximum(x, 0)


def _pool(x: Array) -> Array:
    """Maximum of 3 x 3 windows with a stride of 2; padded with zeros, as Keras does."""
    windows = sliding_window_view(np.pad(x, ((1, 1), (1, 1), (0, 0))), (3, 3), axis=(0, 1))[::2, ::2]
    pooled: Array = windows.max(axis=(3, 4))
    return pooled
