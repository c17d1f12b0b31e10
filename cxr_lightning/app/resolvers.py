"""What ``${name:...}`` in ``conf/`` stands for."""

import math
from collections.abc import Callable
from typing import Any

from omegaconf import DictConfig, OmegaConf

from cxr_lightning.training.run_folder import run_folder
from cxr_lightning.utils.distributed import agree


def register_resolvers() -> None:
    """Make known what ``${name:...}`` in ``conf/`` stands for; may be called again."""
    resolvers: dict[str, Callable[..., object]] = {
        "on_subset": _on_subset,
        "on_phantom": _on_phantom,
        "val_share": _val_share,
        "auto_precision": _auto_precision,
        "run_folder": _run_folder,
        "agree": agree,
        "direction": _direction,
        "study_seed": _study_seed,
    }
    for name, resolver in resolvers.items():
        OmegaConf.register_new_resolver(name, resolver, replace=True)


def _on_subset(yes: Any, no: Any, *, _root_: DictConfig) -> Any:  # noqa: ANN401  # any YAML value
    return yes if _root_.data.subset is True else no


def _on_phantom(yes: Any, no: Any, *, _root_: DictConfig) -> Any:  # noqa: ANN401  # any YAML value
    return yes if _root_.data.source._target_.endswith(".PhantomLayout") else no


def _val_share(train_images: Any, val_images: Any) -> float:  # noqa: ANN401  # may be of a wrong type: checked later
    try:
        return float(val_images / (train_images + val_images))
    except (TypeError, ZeroDivisionError):
        return math.nan


def _auto_precision(accelerator: str) -> str:
    """Mixed bfloat16 where the hardware multiplies it natively, else float32."""
    import torch  # not needed for --help

    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"
    if accelerator == "auto" and torch.backends.mps.is_available():
        return "32-true"
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()  # no public question yet
    return "bf16-mixed" if accelerator in ("auto", "cpu") and native else "32-true"


def _direction(mode: str) -> str:
    """As Optuna calls it."""
    return {"max": "maximize", "min": "minimize"}.get(mode, mode)


def _study_seed(storage: str | None, seed: int) -> int | None:
    return seed if storage is None else None


def _run_folder(ckpt_path: object, resume: object, new: str, *, _root_: DictConfig) -> str:
    return agree(run_folder(ckpt_path, resume, new, _root_))
