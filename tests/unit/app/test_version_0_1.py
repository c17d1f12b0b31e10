"""Configurations of version 0.1: new names are given, and its runs are refused by name."""

from importlib import import_module
from pathlib import Path

import pytest
from hydra import compose
from omegaconf import DictConfig

from cxr_lightning.app.config_check import check_config
from cxr_lightning.app.resolvers import digest_of
from cxr_lightning.app.train_settings import TrainSettings
from cxr_lightning.app.version_0_1 import RENAMED_TARGETS, digest_in_0_1, refuse_run_of_0_1
from cxr_lightning.training.run_folder import write_configuration

SETTINGS = (
    "data.source.train_images=160",
    "data.source.val_images=120",
    "data.source.test_images=120",
    "data.source.image_size=64",
    "data.image_size=64",
    "data.batch_size=16",
    "model=densenet_micro",
    "trainer.max_epochs=4",
    "trainer.accelerator=cpu",
    "trainer.precision=32-true",
    "optimizer.lr=0.01",
    "callbacks.progress_bar=null",
    "logger=none",
)
DIGEST = "ec4095203d84702731f06243d18dc4123e43666bbc0085d5971bb3a9f87db7a6"
"""What version 0.1 wrote into the folder of a run with these settings."""


@pytest.fixture
def config(hydra_conf: None) -> DictConfig:
    return compose("train", list(SETTINGS))


def begin(folder: Path, digest: str) -> Path:
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "last.ckpt").touch()
    write_configuration(folder, digest)
    return folder


def test_the_digest_is_that_of_version_0_1(config: DictConfig) -> None:
    assert digest_in_0_1(config) == DIGEST
    assert digest_of(config) != DIGEST


@pytest.mark.parametrize("place", [".", "../earlier"])
def test_a_run_of_version_0_1_is_refused_by_name(place: str, config: DictConfig, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run = begin(folder / place, DIGEST)
    with pytest.raises(ValueError, match=r"is of version 0\.1, whose runs .* model\.weights=.*last\.ckpt") as error:
        refuse_run_of_0_1(config, folder)
    assert str(run.resolve().name) in str(error.value)


def test_other_runs_are_not(config: DictConfig, tmp_path: Path) -> None:
    refuse_run_of_0_1(config, tmp_path / "absent")
    begin(tmp_path / "other", "0" * 64)
    begin(tmp_path / "earlier", DIGEST)
    refuse_run_of_0_1(config, begin(tmp_path / "run", digest_of(config)))  # this one is continued


@pytest.mark.parametrize(("former", "current"), RENAMED_TARGETS.items())
def test_a_former_name_is_refused_with_the_current_one(former: str, current: str, config: DictConfig) -> None:
    module, _, name = current.rpartition(".")
    assert hasattr(import_module(module), name)
    config.paths.output_dir = "out"
    config.data.source._target_ = former
    with pytest.raises(ValueError, match=rf"got '{former}' \(.*\)\. Since version 0\.2 it is '{current}'"):
        check_config(config, TrainSettings)
