"""Precision of torch's multiplications: exact float32, or bfloat16 where the hardware has it."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from cxr_lightning.utils.global_settings import GlobalSetting


def _read_tf32() -> tuple[bool, bool]:
    return torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32


def _write_tf32(allowed: tuple[bool, bool]) -> None:
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = allowed


_tf32 = GlobalSetting(_read_tf32, _write_tf32)


@contextmanager
def exact_float32() -> Iterator[None]:
    """Multiply float32 as float32: NVIDIA's processors otherwise round factors to 10 bits in convolutions."""
    with _tf32.kept():
        _write_tf32((False, False))
        yield


def auto_precision(accelerator: str) -> str:
    """Lightning's name of mixed bfloat16 where the hardware multiplies it natively, else of float32.

    Args:
        accelerator: ``auto``, ``cpu``, ``gpu``, ``cuda`` or ``mps``.
    """
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"
    if accelerator == "auto" and torch.backends.mps.is_available():
        return "32-true"
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()  # no public function yet
    return "bf16-mixed" if accelerator in ("auto", "cpu") and native else "32-true"
