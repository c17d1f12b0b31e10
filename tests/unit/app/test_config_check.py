"""Every file in conf/ composes, names what exists and gives only known keys; wrong settings are refused by name."""

from pathlib import Path

import pytest
from hydra import compose
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from cxr_lightning.app.config_check import TRAIN, check_config

CONF = Path(__file__).parents[3] / "conf"
NEEDED = {"nih": ["data.root=x"], "walkthrough": ["data.root=x"], "csv": ["data.root=x", "data.labels=[a]"]}
EXPERIMENTS = {"walkthrough": NEEDED["walkthrough"], "full": NEEDED["nih"]}
OPTIONS = [
    (group, file.stem)
    for group in (
        "data",
        "model",
        "loss",
        "optimizer",
        "scheduler",
        "trainer",
        "callbacks",
        "logger",
        "experiment",
        "debug",
    )
    for file in sorted((CONF / group).glob("*.yaml"))
    if file.stem != "base"
]


pytestmark = pytest.mark.usefixtures("hydra_conf")


def composed(*overrides: str) -> DictConfig:
    return compose("train", [*overrides, "paths.output_dir=out"])


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_every_option_composes_and_passes_the_checks(group: str, option: str) -> None:
    if option == "wandb":
        pytest.importorskip("wandb")
    needed = (EXPERIMENTS if group == "experiment" else NEEDED if group == "data" else {}).get(option, [])
    config = composed(f"{group}={option}", *needed)
    check_config(config, TRAIN)
    OmegaConf.to_container(config, resolve=True, throw_on_missing=True)


@pytest.mark.parametrize("option", [file.stem for file in (CONF / "data").glob("*.yaml") if file.stem != "base"])
def test_every_data_set_is_made_without_reading_it(option: str) -> None:
    module = instantiate(composed(f"data={option}", *NEEDED.get(option, [])).data, _convert_="all")
    assert module.source.name == option


def test_the_subset_shortens_the_run_and_each_limit_can_be_overridden() -> None:
    full, subset = composed().trainer, composed("data.subset=true").trainer
    assert (full.max_epochs, full.limit_train_batches, full.limit_val_batches) == (30, 1.0, 1.0)
    assert (subset.max_epochs, subset.limit_train_batches, subset.limit_val_batches) == (3, 100, 25)
    assert composed("data.subset=true", "trainer.max_epochs=7").trainer.max_epochs == 7


def test_only_the_synthetic_set_starts_from_random_weights() -> None:
    assert composed().model.weights is None
    assert composed("data=nih", "data.root=x").model.weights == "imagenet"


def test_the_monitored_number_is_named_once() -> None:
    config = composed("monitor.name=val/loss", "monitor.mode=min", "scheduler=plateau")
    assert config.callbacks.early_stopping.monitor == config.callbacks.model_checkpoint.monitor == "val/loss"
    assert config.model.monitor == "val/loss"
    assert config.callbacks.early_stopping.mode == config.scheduler.mode == "min"


def test_a_resumed_run_goes_on_in_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CXR_LOG_DIR", raising=False)
    checkpoint = tmp_path / "run" / "checkpoints" / "last.ckpt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.touch()
    config = compose("train", [f"ckpt_path={checkpoint}"], return_hydra_config=True)
    assert config.hydra.run.dir == str(tmp_path / "run")
    elsewhere = compose("train", ["ckpt_path=absent.ckpt"], return_hydra_config=True)
    assert elsewhere.hydra.run.dir.startswith("logs/")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data.batch_size=abc"], "int as 'data.batch_size' but got 'abc'"),
        (["data.batch_size=true"], "int as 'data.batch_size' but got True"),
        (["data.subset=maybe"], "bool as 'data.subset' but got 'maybe'"),
        (["data.subset=1"], "bool as 'data.subset' but got 1"),
        (["data.views=PA"], "'data.views' but got 'PA'"),
        (["data.views=[1]"], "'data.views' but got"),
        (["data.split=random"], "'data.split' but got 'random'"),
        (["data.source.train_images=many"], "int as 'data.source.train_images'"),
        (["seed=one"], "int as 'seed' but got 'one'"),
        (["train=perhaps"], "bool as 'train'"),
        (["ckpt_path=7"], "as 'ckpt_path' but got 7"),
        (["trainer.max_epochs=many"], "'trainer.max_epochs' but got 'many'"),
        (["trainer.precision=17"], "'trainer.precision' but got 17"),
        (["optimizer.lr=fast"], "'optimizer.lr' but got 'fast'"),
        (["monitor.mode=up"], "'monitor.mode' but got 'up'"),
        (["loss.reduction=none"], "'loss.reduction' but got 'none'"),
        (["model.backbone=7"], "str as 'model.backbone' but got 7"),
        (["+foo=1"], "known key but got 'foo'"),
        (["+data.batchsize=1"], "got 'data.batchsize'. Did you mean 'data.batch_size'"),
        (["+data.source.x=1"], "got 'data.source.x'"),
        (["+optimizer.momentum=1"], "got 'optimizer.momentum'"),
        (["+monitor.x=1"], "got 'monitor.x'"),
        (["data=nih"], "value for 'data.root' but it has none"),
        (["model._target_=os.system"], "'model._target_' to begin with one of .* but got 'os.system'"),
        (["+callbacks.x._target_=builtins.open"], "'callbacks.x._target_' to begin with one of"),
        (["+data.augmentation={_target_:shutil.copy}"], "data.augmentation"),
        (["model._target_=cxr_lightning.models.absent.Thing"], "exists as 'model._target_'"),
        (["+callbacks.x=7"], "'callbacks.x' but got 7"),
        (["+logger.x=[{_target_:os.system}]"], "list 'logger.x'"),
    ],
)
def test_wrong_settings_are_refused_by_name(overrides: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_config(composed(*overrides), TRAIN)
