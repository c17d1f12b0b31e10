"""What a library refuses when a run is set up ends in one line with its key, before data is read."""

from collections.abc import Sequence

import pytest

from tests.conftest import SMALL, Run, assert_one_error_line

CASES: dict[str, tuple[Sequence[str], Sequence[str]]] = {
    "a part": (["optimizer=sgd", "optimizer.momentum=0"], ["`optimizer` that SGD", "Nesterov momentum"]),
    "strategy": (["trainer.strategy=nonsense"], ["`trainer`", "strategy='nonsense'"]),
    "tpu": (["trainer.accelerator=tpu"], ["`trainer`", "torch_xla", "Install it"]),
    "clipping": (["+trainer.gradient_clip_algorithm=abc"], ["`trainer`", "gradient_clip_algorithm"]),
    "time": (["+trainer.max_time=nonsense"], ["`trainer`", "DD:HH:MM:SS"]),
    "no package": (
        ["+logger.mine={_target_: pytorch_lightning.loggers.CometLogger}"],
        ["`logger.mine`", "comet", "Install it"],
    ),
}
"""tests/unit/app/test_config_check.py has more of the parts."""


@pytest.mark.parametrize("name", CASES)
def test_a_refused_setting_ends_in_one_line_before_data_is_read(
    run: Run, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides, words = CASES[name]
    assert run(*SMALL, "data.root=absent", *overrides)[0] == 1
    output = capsys.readouterr()
    assert_one_error_line(output.out, output.err, words)
