"""Every file in conf/ composes, names what exists and gives only known keys; wrong settings are refused by name."""

from pathlib import Path

import pytest
from hydra import compose
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from cxr_lightning.app.config_check import check_config
from cxr_lightning.app.run_identity import settings_of
from cxr_lightning.app.train_settings import TrainSettings

CONF = Path(__file__).parents[3] / "conf"
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


def complete(override: str) -> DictConfig:
    """A configuration with what it leaves to the user, such as the data's folder."""
    missing = OmegaConf.missing_keys(composed(override))
    given = [f"{key}=[a]" if key.endswith("labels") else f"{key}=x" for key in missing]
    return composed(override, *given, "model.weights=null")  # tests download nothing


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_every_option_composes_and_passes_the_checks(group: str, option: str) -> None:
    if option == "wandb":
        pytest.importorskip("wandb")
    config = complete(f"{group}={option}")
    check_config(config, TrainSettings)
    OmegaConf.to_container(config, resolve=True, throw_on_missing=True)


@pytest.mark.parametrize("option", [file.stem for file in (CONF / "data").glob("*.yaml") if file.stem != "base"])
def test_every_data_set_is_made_without_reading_it(option: str) -> None:
    module = instantiate(complete(f"data={option}").data, _convert_="all")
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
    config = composed("monitor.name=val/loss", "scheduler=plateau")
    assert config.callbacks.early_stopping.monitor == config.callbacks.model_checkpoint.monitor == "val/loss"
    assert config.model.monitor == "val/loss"
    assert config.callbacks.early_stopping.mode == config.scheduler.mode == config.monitor.mode == "min"
    assert composed().callbacks.model_checkpoint.mode == "max"


def test_a_search_has_the_direction_of_the_monitored_number() -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    for name, direction in (("val/loss", "minimize"), ("val/auroc", "maximize")):
        search = compose("train", ["hparams_search=optuna", f"monitor.name={name}"], return_hydra_config=True)
        assert search.hydra.sweeper.direction == direction


def test_two_ways_of_writing_the_same_settings_have_one_digest() -> None:
    first = ("data=nih", "data.root=x", "monitor.mode=max", "trainer.enable_progress_bar=false")
    assert settings_of(composed(*first)).compared == settings_of(composed("data=nih", "root=x", "data.root=x")).compared
    assert settings_of(composed("monitor.name=val/loss")).compared != settings_of(composed()).compared


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
        (["trainer.precision=17"], "`trainer.precision` among .* but got 17"),
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
        (
            ["model._target_=os.system"],
            "a model of .* as 'model._target_' but got 'os.system'",
        ),
        (
            ["+callbacks.x._target_=builtins.open"],
            "a callback of .* as 'callbacks.x._target_' but got 'builtins.open'",
        ),
        (["+data.augmentation={_target_:shutil.copy}"], "data.augmentation"),
        (["model._target_=cxr_lightning.models.absent.Thing"], "exists as 'model._target_'"),
        (["+callbacks.x=7"], "'callbacks.x' but got 7"),
        (["+logger.x=[{_target_:os.system}]"], "list 'logger.x'"),
    ],
)
def test_wrong_settings_are_refused_by_name(overrides: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_config(composed(*overrides), TrainSettings)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("+callbacks.x._target_=pytorch_lightning.cli.instantiate_class", "callback of"),
        ("loss._target_=pytorch_lightning.cli.instantiate_class", "loss of"),
        ("+callbacks.x._target_=cxr_lightning.utils.subprocesses.run_in_processes", "is none"),
        ("+callbacks.x._target_=cxr_lightning.utils.io.atomic_write_text", "is none"),
        ("+callbacks.x._target_=torch.optim.Adam", "callback of"),
        ("optimizer._target_=pytorch_lightning.callbacks.Timer", "optimizer of"),
        ("optimizer._target_=torch.optim.lr_scheduler.StepLR", "is none"),
        ("scheduler._target_=torch.optim.swa_utils.get_swa_avg_fn", "learning-rate schedule of"),
        ("trainer._target_=pytorch_lightning.seed_everything", "is none"),
        ("trainer.strategy={_target_:pytorch_lightning.callbacks.Timer}", "strategy of"),
        ("+logger.x._target_=pytorch_lightning.loggers.logger.rank_zero_experiment", "is none"),
        ("data.source._target_=cxr_lightning.data.csv_reader.read_table", "is none"),
        ("model._target_=pytorch_lightning.LightningModule", "model of"),
        ("+callbacks.x={_target_:pytorch_lightning.callbacks.LambdaCallback,setup:{_target_:builtins.exec}}", "part"),
        ("model.optimizer={_target_:os.system}", "optimizer of"),
        ("+trainer._partial_=true", "no `_partial_` in 'trainer'"),
        ("+model._partial_=true", "no `_partial_` in 'model'"),
        ("loss._partial_=7", "no `_partial_` in 'loss' but got 7"),
    ],
)  # fmt: skip
def test_a_target_is_of_the_kind_that_its_key_takes(override: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_config(composed(override), TrainSettings)


@pytest.mark.parametrize(
    "override",
    [
        "+callbacks.x._target_=pytorch_lightning.callbacks.Timer",
        "+callbacks.x._target_=pytorch_lightning.callbacks.timer.Timer",
        "~loss +loss={_target_:torch.nn.BCEWithLogitsLoss}",
        "~scheduler +scheduler={_target_:torch.optim.lr_scheduler.StepLR,_partial_:true,step_size:1}",
        "~optimizer +optimizer={_target_:torch.optim.RMSprop,_partial_:true,lr:0.1}",
        "trainer.strategy={_target_:pytorch_lightning.strategies.DDPStrategy}",
        "trainer.profiler={_target_:pytorch_lightning.profilers.SimpleProfiler}",
        "+optimizer.betas=[0.9,0.95]",
    ],
)
def test_public_classes_of_the_kind_are_taken(override: str) -> None:
    check_config(composed(*override.split()), TrainSettings)


def test_all_problems_are_in_one_message() -> None:
    with pytest.raises(ValueError, match="6 are wrong") as caught:
        check_config(
            composed("+foo=1", "seed=-1", "optimizer.lr=fast", "data=nih", "data.subset=2", "monitor.mode=up"),
            TrainSettings,
        )
    for key in ("'foo'", "`seed`", "'optimizer.lr'", "'data.root'", "'data.subset'", "'monitor.mode'"):
        assert key in str(caught.value)


def test_contradictions_are_all_named() -> None:
    with pytest.raises(ValueError, match="3 are wrong") as caught:
        check_config(composed("train=false", "test=false", "trainer.precision=64"), TrainSettings)
    assert "train=false and test=false" in str(caught.value)
    assert "`trainer.precision`" in str(caught.value)
