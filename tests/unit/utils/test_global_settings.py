"""Global settings: blocks that overlap in threads restore what was there before the first."""

from contextlib import ExitStack

import pytest
import torch

from cxr_lightning.utils.global_settings import GlobalSetting
from cxr_lightning.utils.precision import exact_float32


def test_the_last_of_overlapping_blocks_restores_what_the_first_found() -> None:
    values = [4]
    setting = GlobalSetting(lambda: values[0], lambda value: values.__setitem__(0, value))
    first, second = ExitStack(), ExitStack()
    first.enter_context(setting.kept())
    values[0] = 1
    second.enter_context(setting.kept())
    first.close()
    assert values == [1]  # the second one still needs it
    second.close()
    assert values == [4]


def test_a_block_that_fails_restores_too() -> None:
    values = [4]
    setting = GlobalSetting(lambda: values[0], lambda value: values.__setitem__(0, value))

    def fail() -> None:
        with setting.kept():
            values[0] = 1
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert values == [4]


def test_float32_stays_exact_until_the_last_block_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    first, second = ExitStack(), ExitStack()
    first.enter_context(exact_float32())
    second.enter_context(exact_float32())
    first.close()
    assert not torch.backends.cudnn.allow_tf32
    second.close()
    assert torch.backends.cudnn.allow_tf32
