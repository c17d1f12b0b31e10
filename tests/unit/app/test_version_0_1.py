"""Configurations of version 0.1: new names are given, and its runs are refused by name."""

from importlib import import_module
from pathlib import Path

import pytest
from hydra import compose
from omegaconf import DictConfig, OmegaConf

from cxr_lightning.app.config_check import check_config
from cxr_lightning.app.run_identity import settings_of
from cxr_lightning.app.train_settings import TrainSettings
from cxr_lightning.app.version_0_1 import RENAMED_TARGETS, refuse_run_of_0_1
from cxr_lightning.training.run_settings import write_settings

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


@pytest.fixture
def config(hydra_conf: None) -> DictConfig:
    return compose("train", list(SETTINGS))


FORMER = {current: former for former, current in RENAMED_TARGETS.items()}


def begin(folder: Path) -> Path:
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "last.ckpt").touch()
    return folder


def begin_in_0_1(folder: Path, config: DictConfig, **changes: object) -> Path:
    """A run of version 0.1 with these settings."""
    begin(folder)
    text = OmegaConf.to_yaml(OmegaConf.merge(config, changes)).replace("${val_fraction:", "${val_share:")
    for current, former in FORMER.items():
        text = text.replace(f"_target_: {current}\n", f"_target_: {former}\n")
    content = OmegaConf.create(text)
    (folder / ".hydra").mkdir()
    OmegaConf.save(content, folder / ".hydra/config.yaml")
    return folder


@pytest.mark.parametrize("place", [".", "../earlier"])
def test_a_run_of_version_0_1_is_refused_by_name(place: str, config: DictConfig, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run = begin_in_0_1(folder / place, config)
    with pytest.raises(ValueError, match=r"is of version 0\.1, whose runs .* model\.weights=.*last\.ckpt") as error:
        refuse_run_of_0_1(config, folder)
    assert str(run.resolve().name) in str(error.value)


def test_other_runs_are_not(config: DictConfig, tmp_path: Path) -> None:
    refuse_run_of_0_1(config, tmp_path / "absent")
    begin_in_0_1(tmp_path / "other", config, seed=7)
    refuse_run_of_0_1(config, tmp_path / "new")
    begin_in_0_1(tmp_path / "earlier", config)
    own = begin(tmp_path / "run")
    write_settings(own, settings_of(config))
    refuse_run_of_0_1(config, own)  # this one is resumed


@pytest.mark.parametrize(("former", "current"), RENAMED_TARGETS.items())
def test_a_former_name_is_refused_with_the_current_one(former: str, current: str, config: DictConfig) -> None:
    module, _, name = current.rpartition(".")
    assert hasattr(import_module(module), name)
    config.paths.output_dir = "out"
    config.data.source._target_ = former
    with pytest.raises(ValueError, match=rf"got '{former}' \(.*\)\. Since version 0\.2 it is '{current}'"):
        check_config(config, TrainSettings)
