"""Every file in conf/ composes, names what exists and gives only known keys; wrong settings are refused by name."""

from pathlib import Path

import pytest
from hydra import compose
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.strategies import StrategyRegistry

from cxr_lightning.app.config_check import check_config
from cxr_lightning.app.run_identity import settings_of
from cxr_lightning.app.train_settings import TrainSettings
from cxr_lightning.app.trainer_contradictions import GIVEN_BY_PROGRAM, STRATEGIES
from cxr_lightning.training.build import SWITCHED_CALLBACKS, trainer_arguments
from tests.slow_cases import one_in

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
    values = {"data.root": CONF, "data.labels": "[a]"}
    given = [f"{key}={values.get(key, 'x')}" for key in missing]
    return composed(override, *given, "model.weights=null")  # tests download nothing


@pytest.mark.parametrize(("group", "option"), one_in(2, OPTIONS))
def test_every_option_composes_and_passes_the_checks(group: str, option: str) -> None:
    if option == "wandb":
        pytest.importorskip("wandb")
    config = complete(f"{group}={option}")
    if group == "trainer":  # on any machine
        config.trainer.accelerator, config.trainer.devices = "cpu", 1
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
        (["seed=4294967296"], "`seed` to be at most 4294967295 but got 4294967296"),
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


LIGHTNING = "{_target_:pytorch_lightning.callbacks"
REFUSED: dict[str, list[str]] = {
    "monitor.name=val/loss monitor.mode=max": ["min as 'monitor.mode' with val/loss"],
    "monitor.name=val/auroc/Mass monitor.mode=min": ["max as 'monitor.mode' with val/auroc/Mass"],
    "callbacks.early_stopping.monitor=val/loss": ["'callbacks.early_stopping.mode=min'"],
    "scheduler=plateau scheduler.mode=min": ["'scheduler.mode=max'"],
    "monitor.name=val_loss": ["'monitor.name'", "Did you mean 'val/loss'?"],
    "callbacks.early_stopping.monitor=val_loss": ["'callbacks.early_stopping.monitor'", "'val/loss'?"],
    "monitor.name=val/auroc/Efusion": ["'val/auroc/Effusion'?"],
    "data.labels=[Mass] monitor.name=val/auroc/Edema": ["'val/auroc/Edema'", "Logged are"],
    "monitor.name=accuracy": ["'accuracy'", "Logged are train/loss, val/loss"],
    "monitor.name=val/defined_labels": ["`monitor.mode` (min or max)"],
    "callbacks.model_checkpoint.monitor=train/loss": ["Set 'monitor.name=train/loss'"],
    "trainer.limit_val_batches=0": ["validation for val/auroc", "monitor.name=train/loss"],
    "trainer.check_val_every_n_epoch=9 trainer.max_epochs=3": ["within 3 epochs", "is 9"],
    "trainer.strategy=dpp": ["`trainer.strategy`", "Did you mean 'ddp'?"],
    "callbacks.early_stopping._target_=pytorch_lightning.callbacks.EarlyStoping": [
        "pytorch_lightning.callbacks has no EarlyStoping",
        "Did you mean 'pytorch_lightning.callbacks.EarlyStopping'?",
    ],
    "optimizer._target_=torch.optim.AdmW": ["'optimizer._target_'", "'torch.optim.AdamW'?"],
    "loss._target_=torch.nn.BCEWithLogitLoss": ["'torch.nn.BCEWithLogitsLoss'?"],
    "data.source._target_=cxr_lightning.data.datasets.nih.NIHLayuot": ["'cxr_lightning.data.datasets.nih.NIHLayout'?"],
    "data.source=null": ["settings as 'data.source' but got a plain value"],
    "data.source=phantom": ["settings as 'data.source' but got a plain value"],
    "monitor=val/loss": ["settings as 'monitor' but got 'val/loss'"],
    "data.num_workers=10000": ["`data.num_workers` to be in [0, "],
    "callbacks.model_checkpoint.mode=MAX": ["'callbacks.model_checkpoint.mode' but got 'MAX'", "Did you mean 'max'?"],
    "model.monitor=val/loss": ["scheduler=plateau", "'val/loss'"],
    "+trainer.logger=true": ["`trainer.logger`", "chosen with 'logger'"],
    "+trainer.use_distributed_sampler=true": ["samplers of their own"],
    "+trainer.min_epochs=10 trainer.max_epochs=2": ["`trainer.max_epochs`, 2, but got 10"],
    "+trainer.min_steps=10 +trainer.max_steps=2": ["`trainer.max_steps`, 2, but got 10"],
    "+trainer.min_steps=-1": ["`trainer.min_steps` to be at least 1"],
    "+trainer.gradient_clip_algorithm=value": ["`trainer.gradient_clip_val` beside"],
    "trainer.overfit_batches=2 trainer.limit_val_batches=0": ["the same batches are validated"],
    "+trainer.max_time='00:00:00:00'": ["a time above 0 as `trainer.max_time`"],
    "+trainer.max_time={minutes:-1}": ["a time above 0 as `trainer.max_time`"],
    "+callbacks.timer={_target_:pytorch_lightning.callbacks.Timer,duration:{hours:0}}": ["`callbacks.timer.duration`"],
    "trainer.max_epochs=0": ["`trainer.max_epochs` to be at least 1, or -1"],
    "trainer.max_epochs=-1": ["known length", "`trainer.max_epochs`"],
    "trainer.limit_train_batches=0": ["batches to train with"],
    "trainer.limit_test_batches=0.0": ["batches to test with", "test=false"],
    "trainer.limit_val_batches=1.5": ["`trainer.limit_val_batches`", "1.5"],
    "trainer.overfit_batches=-1": ["`trainer.overfit_batches`"],
    "trainer.gradient_clip_val=0": ["`trainer.gradient_clip_val` to be above 0"],
    "trainer.accumulate_grad_batches=0": ["to be at least 1"],
    "trainer.devices=0": ["`trainer.devices`", "-1 (all)"],
    "trainer.log_every_n_steps=-1": ["`trainer.log_every_n_steps`"],
    "optimizer.lr=nan": ["`optimizer.lr` to be above 0 but got nan"],
    "optimizer.weight_decay=-0.1": ["`optimizer.weight_decay`"],
    "+optimizer.betas=[2,0.9]": ["`optimizer` that AdamW", "beta"],
    "optimizer=sgd optimizer.momentum=0": ["`optimizer` that SGD", "momentum"],
    "scheduler=plateau scheduler.factor=1": ["`scheduler.factor` to be in (0, 1)"],
    "scheduler.warmup=2": ["`scheduler.warmup`"],
    "callbacks.early_stopping.patience=-1": ["`callbacks.early_stopping.patience`"],
    "callbacks.last_checkpoint.every_minutes=0": ["every_minutes"],
    "callbacks.snapshots.every_n_epochs=0": ["every_n_epochs"],
    "data.batch_size=0": ["`data.batch_size`"],
    "data.image_size=16": ["`data.image_size` to be in [32, 4096]"],
    "data.val_fraction=1": ["`data.val_fraction` to be in [0, 1)"],
    "data.val_fraction=0": ["'data.val_fraction' is 0"],
    "data.split=patient data.test_fraction=0.9": ["`data.test_fraction`", "leave images for training"],
    "data.split=all": ["'data.split=all'"],
    "data.labels=[Efusion]": ["'Efusion'", "'Effusion'?"],
    "data.labels=[]": ["at least one label"],
    "data.views=[LL]": ["['LL']", "['AP', 'PA']"],
    "data.views=[]": ["'data.views'", "empty"],
    "data.subset_images=[1,2]": ["`data.subset_images`"],
    "data.source.train_images=3": ["`train_images`"],
    "model.image_size=64": ["`model.image_size`", "'data.image_size'"],
    "model.interpolation=foo": ["`model.interpolation`", "'data.interpolation'"],
    "model.mean=3": ["featurewise"],
    "model.preprocessing=featurewise model.std=3": ["both `model.mean` and `model.std`"],
    "model.drop_rate=1": ["`model.drop_rate`"],
    "model.backbone=resnet18": ["`model.backbone`", "'resnet50'?"],
    "trainer.precision=16-mixed trainer.gradient_clip_val=1": ["optimizer.fused=false"],
    "+callbacks.timer={_target_:pytorch_lightning.callbacks.Timer,interval:hour}": ["`callbacks.timer`", "hour"],
    "trainer.max_epochs=-1 ~scheduler "
    "+scheduler={_target_:torch.optim.lr_scheduler.OneCycleLR,_partial_:true,max_lr:1}": ["known length"],
    "data.on_bad_image=skip data.cache=false": ["data.cache=true"],
    "data.image_size=5000": ["[32, 4096]"],
    "data=csv data.root=x model.weights=null data.labels=[a] data.views=[PA]": ["'data.source.view_column'"],
    "data=walkthrough data.root=x model.weights=null data.views=[PA]": ["do not tell them"],
    "ckpt_path=absent.ckpt": ["'absent.ckpt'", "Set `ckpt_path`"],
    "ckpt_path='https://host/x.ckpt'": ["URL", "Download"],
    "ckpt_path=x.ckpt resume=auto": ["`ckpt_path`", "`resume`"],
    "resume=always": ["'resume'", "'always'"],
    "model.weights=absent.pth": ["'absent.pth'", "model.weights", "no such file"],
    "model.weights=/tmp ckpt_path=/dev": ["'/tmp': it is a folder", "'/dev' but it is a folder. Set `ckpt_path`"],
    "model.weights=pyproject.toml": [".tar) as `model.weights`"],
    "data.split=oficial": ["'data.split'", "'official'?"],
    "loss.reduction=men": ["'loss.reduction'", "'mean'?"],
    "model.preprocessing=imagnet": ["'model.preprocessing'", "'imagenet'?"],
    "~optimizer +optimizer={_target_:torch.optim.Optimizer,_partial_:true}": [
        "`optimizer` that Optimizer",
        "'defaults'",
    ],
    "~optimizer +optimizer={_target_:torch.optim.Muon,_partial_:true}": ["`optimizer` that Muon", "2D"],
    "~scheduler +scheduler={_target_:torch.optim.lr_scheduler.OneCycleLR,_partial_:true}": [
        "`scheduler` that OneCycleLR",
        "'max_lr'",
    ],
    "~scheduler +scheduler={_target_:torch.optim.lr_scheduler.CyclicLR,_partial_:true,base_lr:1,max_lr:2} "
    "~optimizer +optimizer={_target_:torch.optim.Rprop,_partial_:true}": ["`scheduler` that CyclicLR", "momentum"],
    "~loss +loss={_target_:torch.nn.Linear}": ["`loss` that Linear", "'in_features'"],
    "+callbacks.mine={_target_:pytorch_lightning.callbacks.Timer,duration:nonsense}": [
        "`callbacks.mine` that Timer",
        "DD:HH:MM:SS",
    ],
    "+callbacks.mine={_target_:pytorch_lightning.callbacks.EarlyStopping,monitor:val/loss,mode:up}": [
        "'callbacks.mine.mode' but got 'up'"
    ],
    "+callbacks.mine={_target_:pytorch_lightning.callbacks.GradientAccumulationScheduler,scheduling:{-1:4}}": [
        "`callbacks.mine`",
        "Epoch",
    ],
    "+callbacks.mine={_target_:pytorch_lightning.callbacks.BatchSizeFinder}": ["`data.batch_size`"],
    "+callbacks.mine={_target_:pytorch_lightning.callbacks.ModelPruning,pruning_fn:l1_unstructured}": ["channels last"],
    "+callbacks.mine={_target_:pytorch_lightning.callbacks.OnExceptionCheckpoint,dirpath:x}": [
        "callbacks.last_checkpoint"
    ],
    "+callbacks.mine={_target_:pytorch_lightning.callbacks.SpikeDetection}": ["callbacks.finite_loss"],
    "+callbacks.mine={_target_:pytorch_lightning.callbacks.BaseFinetuning}": ["BackboneFinetuning instead"],
    "+callbacks.mine={_target_:pytorch_lightning.callbacks.BackboneFinetuning} model.freeze_backbone=true": [
        "'model.freeze_backbone=false'"
    ],
    "+callbacks.mine={_target_:pytorch_lightning.callbacks.DeviceStatsMonitor} logger=none": ["logger=csv"],
    "+callbacks.mine={_target_:pytorch_lightning.callbacks.StochasticWeightAveraging,swa_lrs:0.1}": [
        "callbacks.early_stopping=null"
    ],
    "+callbacks.mine={_target_:pytorch_lightning.callbacks.TQDMProgressBar}": [
        "ProgressBar, TQDMProgressBar",
        "callbacks.progress_bar=null",
    ],
    f"+callbacks.mine={LIGHTNING}.EMAWeightAveraging}} +callbacks.other={LIGHTNING}.WeightAveraging}}": [
        "EMAWeightAveraging, WeightAveraging"
    ],
    f"callbacks.early_stopping=null +callbacks.a={LIGHTNING}.StochasticWeightAveraging,swa_lrs:0.1}} "
    f"+callbacks.b={LIGHTNING}.EMAWeightAveraging}}": ["one callback that averages", "Leave the others out"],
    f"trainer.max_epochs=3 +callbacks.mine={LIGHTNING}.StochasticWeightAveraging,swa_lrs:0.1,swa_epoch_start:4}}": [
        "`callbacks.mine.swa_epoch_start`",
        "from 1 to 3, but got 4",
    ],
    f"trainer.max_epochs=3 +callbacks.mine={LIGHTNING}.weight_averaging.EMAWeightAveraging,"
    "update_starting_at_epoch:3}": ["`callbacks.mine.update_starting_at_epoch`", "from 0 to 2, but got 3"],
    f"trainer.max_epochs=3 +callbacks.mine={LIGHTNING}.BackboneFinetuning}}": [
        "`callbacks.mine.unfreeze_backbone_at_epoch`",
        "its default is 10",
    ],
    f"trainer.max_epochs=2 +callbacks.mine={LIGHTNING}.GradientAccumulationScheduler,scheduling:{{2:2,9:4}}}}": [
        "`callbacks.mine.scheduling`",
        "{2: 2, 9: 4}",
    ],
    "+callbacks.model_checkpoint.every_n_epochs=3 trainer.max_epochs=2 +callbacks.model_checkpoint.save_top_k=0": [
        "2 are wrong",
        "`callbacks.model_checkpoint.every_n_epochs` is 3",
        "`callbacks.model_checkpoint.save_top_k` is 0",
    ],
    "+callbacks.model_checkpoint.every_n_epochs=0": ["`callbacks.model_checkpoint.every_n_epochs` is 0"],
    "+trainer.val_check_interval=0 +trainer.min_steps=-1 trainer.fast_dev_run=-1": [
        "3 are wrong",
        "`trainer.val_check_interval` but got 0",
        "`trainer.min_steps`",
        "`trainer.fast_dev_run`",
    ],
    "+trainer.val_check_interval=1.5": ["`trainer.val_check_interval` but got 1.5"],
    "+trainer.val_check_interval=0.0": ["(0, 1]", "but got 0.0"],
    "+trainer.val_check_interval=0.5 trainer.check_val_every_n_epoch=null": ["'trainer.check_val_every_n_epoch=null'"],
    "+callbacks.mine={_target_:pytorch_lightning.callbacks.BatchSizeFinder} optimizer=sgd optimizer.momentum=0": [
        "2 are wrong",
        "BatchSizeFinder",
        "momentum",
    ],
}
"""Settings that contradict each other, are out of their range or are refused by a constructor; words of the errors."""


@pytest.mark.parametrize("overrides", one_in(3, REFUSED))
def test_settings_that_cannot_work_are_refused_by_name(overrides: str) -> None:
    with pytest.raises(ValueError, match=r"^Expected") as caught:
        check_config(composed(*overrides.split()), TrainSettings)
    assert [word for word in REFUSED[overrides] if word not in str(caught.value)] == []


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
        ("+logger.x._target_=pytorch_lightning.loggers.logger.rank_zero_experiment", "a logger of"),
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
    one_in(
        3,
        [
            "+callbacks.x._target_=pytorch_lightning.callbacks.Timer",
            "+callbacks.x._target_=pytorch_lightning.callbacks.timer.Timer",
            "~loss +loss={_target_:torch.nn.BCEWithLogitsLoss}",
            "~scheduler +scheduler={_target_:torch.optim.lr_scheduler.StepLR,_partial_:true,step_size:1}",
            "~optimizer +optimizer={_target_:torch.optim.RMSprop,_partial_:true,lr:0.1}",
            "trainer.strategy={_target_:pytorch_lightning.strategies.DDPStrategy}",
            "trainer.profiler={_target_:pytorch_lightning.profilers.SimpleProfiler}",
            "+optimizer.betas=[0.9,0.95]",
            "trainer.max_epochs=3 +callbacks.x={_target_:pytorch_lightning.callbacks.BackboneFinetuning,"
            "unfreeze_backbone_at_epoch:2}",
            "trainer.max_epochs=-1 scheduler=none "
            "+callbacks.x={_target_:pytorch_lightning.callbacks.BackboneFinetuning}",
            "trainer.max_epochs=2 +callbacks.x={_target_:pytorch_lightning.callbacks.GradientAccumulationScheduler,"
            "scheduling:{0:2,5:4}}",
            "trainer.max_epochs=2 +callbacks.model_checkpoint.every_n_epochs=2",
        ],
    ),
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


def test_all_of_lightnings_strategies_are_known() -> None:
    assert {*StrategyRegistry.available_strategies()} <= {*STRATEGIES}


def test_settings_may_have_of_the_programs_arguments_only_those_that_switch_callbacks_off() -> None:
    assert {*trainer_arguments([], [])} == {*GIVEN_BY_PROGRAM, *SWITCHED_CALLBACKS}
