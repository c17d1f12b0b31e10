"""Loggers are named from a list, since others send data away."""

import pytest

from cxr_lightning.app.targets import arguments_of_target, find_target

LOGGERS = "pytorch_lightning.loggers"


@pytest.mark.parametrize("name", ["TensorBoardLogger", "CSVLogger", "WandbLogger"])
def test_loggers_of_the_list_are_accepted(name: str) -> None:
    assert arguments_of_target("logger.mine", f"{LOGGERS}.{name}").types


@pytest.mark.parametrize("key", ["logger.mine", "trainer.logger", "callbacks.mine.logger"])
@pytest.mark.parametrize(
    "name", ["CometLogger", "MLFlowLogger", "NeptuneLogger", "wandb.WandbLogger", "CSVLogger.experiment", "csv_logs.x"]
)
def test_other_loggers_are_refused(key: str, name: str) -> None:
    for check in (find_target, arguments_of_target):
        with pytest.raises(ValueError, match=r"loggers\.TensorBoardLogger|trusted package"):
            check(key, f"{LOGGERS}.{name}")
