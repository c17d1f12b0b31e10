"""Lightning's ``load_from_checkpoint``, without the classes and functions that a file may name."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from cxr_lightning.utils.torch_io import load_safely

_CLASS_KEYS = ("hparams_type", "datamodule_hparams_type")
_NAME_KEYS = ("hparams_name", "datamodule_hparams_name")
_SETTINGS_KEYS = ("hyper_parameters", "datamodule_hyper_parameters")
_INSTANTIATOR = "_instantiator"
_LIGHTNING_NAME = "kwargs"
"""The name that Lightning records for arguments that are saved by their names."""


def refuse_class_names(content: Mapping[Any, Any], path: str) -> None:
    """Refuse a checkpoint that names what is to be made of it: Lightning imports and calls such names.

    Args:
        content: Content of the checkpoint.
        path: The file, for the message.

    Raises:
        ValueError: If it names something.
    """
    named = [key for key in _CLASS_KEYS if content.get(key) is not None]
    named += [key for key in _NAME_KEYS if content.get(key) not in (None, _LIGHTNING_NAME)]
    settings = [content[key] for key in _SETTINGS_KEYS if isinstance(content.get(key), Mapping)]
    named += [_INSTANTIATOR for values in settings if _INSTANTIATOR in values]
    if named:
        raise ValueError(
            f"Expected values alone in '{path}' but it names code to run, in {', '.join(map(repr, named))}. "
            "Get the checkpoint from somebody you trust."
        )


class CheckedLoading:
    """Mixin of a LightningModule or LightningDataModule, to stand before it, whose checkpoints name no code."""

    @classmethod
    def load_from_checkpoint(cls, checkpoint_path: str | Path, *args: Any, **kwargs: Any) -> Self:  # noqa: ANN401
        """Load a local checkpoint as Lightning does, without running code from it.

        Args:
            checkpoint_path: The file.
            *args: As Lightning's.
            **kwargs: As Lightning's; ``weights_only`` is always true.

        Raises:
            OSError: If there is no such file, it is no regular one, or it may not be read.
            ValueError: If it is damaged, or names code or settings that are none of the class's.
        """
        path = str(checkpoint_path)
        content = load_safely(path)
        if not isinstance(content, Mapping):
            kind = type(content).__name__
            raise ValueError(f"Expected a checkpoint in '{path}' but it holds a {kind}. Name the file of a checkpoint.")
        cls.check_loaded(content, path)
        loaded: Self = super().load_from_checkpoint(path, *args, **{**kwargs, "weights_only": True})  # type: ignore[misc]
        return loaded

    @classmethod
    def check_loaded(cls, content: Mapping[Any, Any], path: str) -> None:
        """Check a checkpoint's content before Lightning makes anything of it.

        Args:
            content: The content.
            path: The file, for messages.

        Raises:
            ValueError: If it names code.
        """
        refuse_class_names(content, path)
