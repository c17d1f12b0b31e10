"""Errors of what a configuration names, also of its hooks, end in one sentence with the key."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from cxr_lightning.app.part_errors import Part, naming_key, naming_key_of_hook
from cxr_lightning.training.callbacks import BestCheckpoint
from cxr_lightning.utils.suggestions import did_you_mean


@pytest.mark.parametrize(
    ("target", "raised", "kind", "words"),
    [
        (
            "torch.optim.SGD",
            KeyError("x"),
            ValueError,
            r"settings of `a.b` that SGD accepts .* \('x'\)\. Correct `a.b`",
        ),
        ("torch.optim.SGD", NotImplementedError(), ValueError, r"refuses them \(NotImplementedError\)"),
        ("mine.SGD", TypeError("f() missing 1 required argument: 'x'"), ValueError, "`a.b` that SGD accepts"),
        ("mine.SGD", TypeError("can't multiply"), TypeError, "can't multiply"),  # a bug
        ("mine.SGD", ValueError("Expected a but got b."), ValueError, "^Expected a but got b.$"),
        ("torch.optim.SGD", FileNotFoundError("gone"), FileNotFoundError, "gone"),
        ("x.WandbLogger", ImportError("no wandb"), ImportError, r"needs .* \(no wandb\)\. .* uv run --extra wandb"),
        (
            "x.WandbLogger",
            ValueError("No API key."),
            ValueError,
            r"\(No API key\)\. Set WANDB_API_KEY, 'a.b.offline=true'",
        ),
    ],
)
def test_an_error_names_the_key_unless_it_may_be_a_bug(
    target: str, raised: Exception, kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words), naming_key(Part("a.b", target)):
        raise raised


@pytest.mark.parametrize(
    ("text", "settings", "words"),
    [
        ("`b` should be above 0, got a", {"a": 1, "b": 2, "c": 3}, r"Correct `n.b` \(2\) or `n.a` \(1\)\.$"),
        ("No supported gpu backend found!", {"kind": "gpu", "other": "backends"}, r"Correct `n.kind` \(gpu\)\.$"),
        ("'minuts' is an invalid keyword", {"time": {"minuts": 1}}, r"Correct `n.time` \(\{minuts:1\}\)\.$"),
        ("got 2 of 1.5", {"x": 1, "y": 5, "z": [2, None]}, r"Correct `n.z` \(\[2,null\]\)\.$"),
        ("True of 0 and 1", {"_target_": "of", "x": 0, "y": True, "z": ""}, r"Correct `n`\.$"),
        ("rates differ", {"rate": 0.1}, r"Correct `n`\.$"),
    ],
)
def test_the_settings_that_the_message_is_about_are_named(text: str, settings: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words), naming_key(Part("n", "torch.optim.SGD", settings)):
        raise ValueError(text)


def step(error: Exception | None) -> None:
    """Have an optimizer's step call something that raises an error; None: code of this package does, by a bug."""

    def closure() -> float:
        if error is None:
            did_you_mean(3, [])  # type: ignore[arg-type]
        raise error or AssertionError

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))])
    with naming_key_of_hook([(Part("optimizer", "torch.optim.SGD"), torch.optim.SGD)]):
        optimizer.step(closure)


@pytest.mark.parametrize(
    "error", [KeyError("a"), TypeError("b"), RuntimeError("size"), NotImplementedError()], ids=repr
)
def test_an_error_in_a_hook_of_a_library_names_the_key(error: Exception) -> None:
    with pytest.raises(ValueError, match=r"settings of `optimizer` that SGD .* Correct `optimizer`\.") as caught:
        step(error)
    assert caught.value.__cause__ is error


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError("gone"),
        MemoryError(),
        RuntimeError("CUDA out of memory."),
        RuntimeError("CUDA error: device-side assert triggered"),
        RuntimeError("DataLoader worker (pid 3) is killed by signal: Killed. "),
        ValueError("Expected a but got b. Set c."),
    ],
    ids=repr,
)
def test_an_error_that_is_of_no_setting_stays_as_it_is(error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        step(error)
    assert caught.value is error


def test_a_bug_of_this_package_that_a_library_calls_stays_as_it_is() -> None:
    with pytest.raises(TypeError, match=r"object of type 'int' has no len\(\)"):
        step(None)


def test_of_a_class_of_this_package_only_a_refusal_of_what_it_inherits_is_named() -> None:
    best = BestCheckpoint(monitor="x")
    configured = [(Part("callbacks.best", "cxr_lightning.training.callbacks.BestCheckpoint", {"monitor": "x"}), best)]
    validated = SimpleNamespace(_has_run=True)
    trainer: Any = SimpleNamespace(fit_loop=SimpleNamespace(epoch_loop=SimpleNamespace(val_loop=validated)))
    words = r"`callbacks.best` that BestCheckpoint .* Correct `callbacks.best.monitor`"
    with pytest.raises(ValueError, match=words), naming_key_of_hook(configured):
        best._save_topk_checkpoint(trainer, {})
    with pytest.raises(AttributeError), naming_key_of_hook(configured):
        best._save_topk_checkpoint(None, {})  # type: ignore[arg-type]
