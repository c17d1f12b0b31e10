"""The LightningModule: what it learns, what it stores, and that a checkpoint needs nothing beside it."""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.optim.lr_scheduler import ConstantLR, ReduceLROnPlateau
from torch.utils.data import DataLoader

from cxr_lightning.checkpoints.load import load_classifier
from cxr_lightning.data.datamodule import ChestXRayDataModule
from cxr_lightning.losses.bce import MultilabelBCE, build_loss
from cxr_lightning.models.classifier import ChestXRayClassifier
from cxr_lightning.models.schedules import cosine
from cxr_lightning.utils.file_names import METADATA_KEY

LABELS = ["Effusion", "Mass", "Nodule"]
PIXELS = torch.randint(0, 256, (4, 1, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def classifier(labels: list[str] | None = None, **options: Any) -> ChestXRayClassifier:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return ChestXRayClassifier(labels or LABELS, backbone="densenet_micro", image_size=32, **options)


def trainer(folder: Path, **options: Any) -> pl.Trainer:
    return pl.Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        **{"max_epochs": 1, "num_sanity_val_steps": 0, **options},
    )


@pytest.fixture
def data(datamodule: ChestXRayDataModule) -> ChestXRayDataModule:
    datamodule.setup()
    return datamodule


@pytest.fixture
def trained(data: ChestXRayDataModule, tmp_path: Path) -> tuple[ChestXRayClassifier, pl.Trainer]:
    """A model of all 14 labels after one epoch of five steps; Pneumonia and others have no positives."""
    model = classifier(
        list(data.labels),
        loss=build_loss(data.targets("train")),
        optimizer=partial(torch.optim.AdamW, lr=0.01),
        scheduler=cosine,
    )
    run = trainer(tmp_path / "run")
    run.fit(model, data)
    return model, run


@torch.no_grad()
def predictions(model: ChestXRayClassifier, data: ChestXRayDataModule, split: str) -> tuple[Tensor, Tensor]:
    """The model's own probabilities and the targets, image by image."""
    model.eval()
    dataset = data.dataset(split)
    images = torch.stack([dataset[index]["image"] for index in range(len(dataset))])
    return model(images).sigmoid(), dataset.targets


def expected_auroc(probabilities: Tensor, targets: Tensor) -> list[float]:
    pairs = zip(probabilities.T.numpy(), targets.T.numpy(), strict=True)
    return [roc_auc_score(truth, scores) if len(set(truth)) == 2 else math.nan for scores, truth in pairs]


def test_images_give_one_logit_per_label_whatever_their_type() -> None:
    model = classifier().eval()
    logits = model(PIXELS)
    assert logits.shape == (4, 3)
    torch.testing.assert_close(model(PIXELS.float()), logits)


def test_the_logits_are_the_networks_of_the_preprocessed_pixels() -> None:
    model = classifier(preprocessing="none").eval()
    expected = model.network.backbone(PIXELS.float().expand(-1, 3, -1, -1) / 255)
    torch.testing.assert_close(model(PIXELS), expected, atol=1e-5, rtol=1e-5)  # another memory layout


def test_validation_auroc_is_scikit_learns_on_the_models_own_probabilities(
    trained: tuple[ChestXRayClassifier, pl.Trainer], data: ChestXRayDataModule
) -> None:
    model, run = trained
    expected = expected_auroc(*predictions(model, data, "val"))
    # With three positives and three negatives AUROC moves in ninths: any real difference shows.
    assert list(model.val_auroc_by_label) == list(data.labels)
    assert list(model.val_auroc_by_label.values()) == pytest.approx(expected, abs=1e-6, nan_ok=True)
    defined = [value for value in expected if not math.isnan(value)]
    assert 4 <= len(defined) < 14
    assert float(run.callback_metrics["val/auroc"]) == pytest.approx(sum(defined) / len(defined), abs=1e-6)
    assert float(run.callback_metrics["val/defined_labels"]) == len(defined)
    logged = {name for name in run.callback_metrics if name.startswith("val/auroc/")}
    named = zip(data.labels, expected, strict=True)
    assert logged == {f"val/auroc/{label}" for label, value in named if not math.isnan(value)}


def test_validation_loss_is_the_loss_of_the_whole_split(
    trained: tuple[ChestXRayClassifier, pl.Trainer], data: ChestXRayDataModule
) -> None:
    model, run = trained
    probabilities, targets = predictions(model, data, "val")
    expected = float(model.loss(probabilities.logit(), targets))
    # From probabilities back to logits costs a few digits of float32.
    assert float(run.callback_metrics["val/loss"]) == pytest.approx(expected, rel=1e-4)


def test_testing_a_reloaded_checkpoint_repeats_the_test_score(
    trained: tuple[ChestXRayClassifier, pl.Trainer], data: ChestXRayDataModule, tmp_path: Path
) -> None:
    model, run = trained
    run.save_checkpoint(tmp_path / "best.ckpt")
    (first,) = run.test(model, data, verbose=False)
    loaded = ChestXRayClassifier.load_from_checkpoint(tmp_path / "best.ckpt", weights_only=True, map_location="cpu")
    (second,) = trainer(tmp_path).test(loaded, data, verbose=False)
    assert second == first
    expected = expected_auroc(*predictions(loaded, data, "test"))
    assert list(loaded.test_auroc_by_label.values()) == pytest.approx(expected, abs=1e-6, nan_ok=True)


def test_a_checkpoint_rebuilds_the_model_without_its_optimizer_arguments(
    trained: tuple[ChestXRayClassifier, pl.Trainer], tmp_path: Path
) -> None:
    model, run = trained
    model.metadata["data"] = {"synthetic": True}
    run.save_checkpoint(tmp_path / "best.ckpt")
    loaded = ChestXRayClassifier.load_from_checkpoint(tmp_path / "best.ckpt", weights_only=True, map_location="cpu")
    assert loaded.labels == model.labels
    assert torch.equal(loaded.eval()(PIXELS), model.eval()(PIXELS))
    assert isinstance(loaded.loss, MultilabelBCE)
    assert isinstance(model.loss, MultilabelBCE)
    assert torch.equal(loaded.loss.positive_weights, model.loss.positive_weights)
    assert loaded.metadata["data"] == {"synthetic": True}
    assert list(loaded.val_auroc_by_label.values()) == pytest.approx(
        list(model.val_auroc_by_label.values()), nan_ok=True
    )


@pytest.mark.parametrize(
    "options", [{"preprocessing": "samplewise"}, {"preprocessing": "featurewise", "mean": 90.0, "std": 9.0}]
)
def test_preprocessing_and_reduction_survive_save_and_load(tmp_path: Path, options: dict[str, Any]) -> None:
    model = classifier(loss=MultilabelBCE(3, reduction="sum"), **options).eval()
    run = trainer(tmp_path)
    run.strategy.connect(model)
    run.save_checkpoint(tmp_path / "last.ckpt", weights_only=True)
    loaded = ChestXRayClassifier.load_from_checkpoint(
        tmp_path / "last.ckpt", weights_only=True, map_location="cpu"
    ).eval()
    assert torch.equal(loaded(PIXELS), model(PIXELS))
    assert loaded.loss.reduction == "sum"


def are_plain(value: object) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and are_plain(entry) for key, entry in value.items())
    if isinstance(value, list | tuple):
        return all(are_plain(entry) for entry in value)
    return value is None or type(value) in (str, int, float, bool)


def test_a_checkpoint_holds_plain_values_only(trained: tuple[ChestXRayClassifier, pl.Trainer], tmp_path: Path) -> None:
    _, run = trained
    run.save_checkpoint(tmp_path / "best.ckpt")
    checkpoint = torch.load(tmp_path / "best.ckpt", weights_only=True)
    assert are_plain(checkpoint["hyper_parameters"])
    assert are_plain(checkpoint[METADATA_KEY])
    assert checkpoint[METADATA_KEY]["val_auroc"]["Pneumonia"] is None  # undefined is null, as in JSON
    assert checkpoint[METADATA_KEY]["labels"] == checkpoint["hyper_parameters"]["labels"]
    hidden = {"weights", "loss", "optimizer", "scheduler", "monitor"}
    assert not hidden & set(checkpoint["hyper_parameters"])


def test_a_frozen_backbone_does_not_change_while_its_head_learns(data: ChestXRayDataModule, tmp_path: Path) -> None:
    model = classifier(list(data.labels), freeze_backbone=True, optimizer=partial(torch.optim.SGD, lr=0.1))
    before = {name: value.clone() for name, value in model.network.backbone.state_dict().items()}
    trainer(tmp_path, limit_val_batches=0).fit(model, data)
    after = model.network.backbone.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"classifier.weight", "classifier.bias"}  # batch-norm statistics and counts included


def test_a_frozen_backbone_stays_in_evaluation_whatever_mode_is_set() -> None:
    model = classifier(freeze_backbone=True)
    for mode in (model, model.train(), model.eval().train(True)):
        assert not any(module.training for module in mode.network.modules())


@pytest.mark.slow
def test_a_compiled_network_has_the_plain_ones_logits_gradients_and_checkpoint(tmp_path: Path) -> None:
    images = torch.randint(0, 256, (4, 1, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    logits, gradients, names = [], [], []
    for compiled in (False, True):
        torch.manual_seed(1)
        model = ChestXRayClassifier(["Edema", "Mass"], backbone="densenet_micro", image_size=64, compile=compiled)
        model.train()
        logits.append(model(images))
        logits[-1].square().sum().backward()
        gradients.append(torch.cat([parameter.grad.flatten() for parameter in model.parameters()]))  # type: ignore[union-attr]
        assert model(images[:3]).shape == (3, 2)  # a last, smaller batch
        trainer = pl.Trainer(accelerator="cpu", logger=False, default_root_dir=tmp_path)
        trainer.strategy.connect(model)
        trainer.save_checkpoint(tmp_path / "model.ckpt", weights_only=True)
        content = torch.load(tmp_path / "model.ckpt", weights_only=True)
        names.append((sorted(content["state_dict"]), sorted(content["hyper_parameters"])))
    torch.testing.assert_close(logits[0], logits[1], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-3 * float(gradients[0].abs().max()), rtol=1e-3)
    assert names[0] == names[1]


def test_without_freezing_everything_learns(trained: tuple[ChestXRayClassifier, pl.Trainer]) -> None:
    model, _ = trained
    before = classifier(list(model.labels)).network.backbone.state_dict()
    assert [
        name for name, value in model.network.backbone.state_dict().items() if torch.equal(before[name], value)
    ] == []


def test_a_single_label_trains_and_scores(nih_folder: Path, tmp_path: Path, data: ChestXRayDataModule) -> None:
    single = ChestXRayDataModule(
        str(nih_folder), data.source, labels=["Mass"], val_fraction=0.25, image_size=32, batch_size=4, num_workers=0
    )
    model = classifier(["Mass"])
    trainer(tmp_path).fit(model, single)
    expected = expected_auroc(*predictions(model, single, "val"))
    assert list(model.val_auroc_by_label.values()) == pytest.approx(expected, abs=1e-6)


def test_a_validation_split_of_unknown_targets_gives_nan_and_no_error(tmp_path: Path) -> None:
    model = classifier()
    batch = {"image": PIXELS, "target": torch.full((4, 3), math.nan)}
    run = trainer(tmp_path)
    run.validate(model, DataLoader([batch], batch_size=None), verbose=False)  # type: ignore[arg-type]  # a list will do
    assert math.isnan(run.callback_metrics["val/auroc"])
    assert float(run.callback_metrics["val/defined_labels"]) == 0


def configured(scheduler: Callable[..., Any] | None, **of_trainer: object) -> Any:
    model = classifier(optimizer=partial(torch.optim.SGD, lr=0.5), scheduler=scheduler, monitor="val/loss")
    model.trainer = SimpleNamespace(**{"callbacks": [], **of_trainer})  # type: ignore[assignment]  # only these are asked for
    return model.configure_optimizers()


def test_without_a_schedule_there_is_only_the_optimizer() -> None:
    assert isinstance(configured(None), torch.optim.SGD)


@pytest.mark.parametrize(("every", "frequency"), [(1, 1), (2, 2), (None, 1)])
def test_a_plateau_looks_when_its_number_exists(every: int | None, frequency: int) -> None:
    schedule = configured(ReduceLROnPlateau, check_val_every_n_epoch=every)["lr_scheduler"]
    assert isinstance(schedule.pop("scheduler"), ReduceLROnPlateau)
    assert schedule == {"interval": "epoch", "frequency": frequency, "monitor": "val/loss"}


def test_schedules_of_known_length_step_every_batch() -> None:
    chosen = configured(cosine, estimated_stepping_batches=40)
    assert chosen["lr_scheduler"]["interval"] == "step"
    assert chosen["optimizer"].param_groups[0]["lr"] < 0.5  # it starts below the peak


def test_other_schedules_step_every_epoch() -> None:
    assert configured(partial(ConstantLR, total_iters=0))["lr_scheduler"]["interval"] == "epoch"


def test_the_schedules_length_is_the_runs(trained: tuple[ChestXRayClassifier, pl.Trainer]) -> None:
    _, run = trained
    assert run.global_step == 5  # eighteen images by four
    assert run.optimizers[0].param_groups[0]["lr"] == pytest.approx(0)  # and not before: it is 0 at the fifth step only
    assert cosine(run.optimizers[0], 5).lr_lambdas[0](4) > 0


def test_a_run_without_an_end_has_no_schedule_of_known_length() -> None:
    with pytest.raises(ValueError, match=r"known length .* but `trainer\.max_epochs` is -1"):
        configured(cosine, estimated_stepping_batches=math.inf)


def test_only_what_may_learn_is_given_to_the_optimizer() -> None:
    model = classifier(freeze_backbone=True)
    optimizer = model.configure_optimizers()
    assert isinstance(optimizer, torch.optim.AdamW)
    head = model.network.head_layer
    assert {id(parameter) for parameter in optimizer.param_groups[0]["params"]} == set(map(id, head.parameters()))


def test_initial_weights_are_loaded_and_not_kept_as_a_setting() -> None:
    torch.manual_seed(7)
    start = classifier().network.backbone.state_dict()
    other = ChestXRayClassifier(LABELS, backbone="densenet_micro", image_size=32, weights=start)
    assert torch.equal(other.eval()(PIXELS), classifier().eval()(PIXELS))
    assert "weights" not in other.hparams


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": []}, "at least one label"),
        ({"labels": ["Mass"], "backbone": "vgg"}, r"`model\.backbone` to be one of"),
        ({"labels": ["Mass"], "preprocessing": "zscore"}, "`preprocessing` to be one of"),
    ],
)
def test_wrong_settings_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ChestXRayClassifier(**{"backbone": "densenet_micro", **options})


class ScaledLoss(nn.Module):
    """Somebody's own loss with a parameter of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(14))

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        return (self.scale * (logits - targets.nan_to_num()) ** 2).mean()


def test_a_checkpoint_is_read_without_the_loss_that_it_was_trained_with(
    data: ChestXRayDataModule, tmp_path: Path
) -> None:
    model = classifier(list(data.labels), loss=ScaledLoss())
    run = trainer(tmp_path)
    run.fit(model, data)
    run.save_checkpoint(tmp_path / "best.ckpt")
    for loaded in (
        ChestXRayClassifier.load_from_checkpoint(tmp_path / "best.ckpt", weights_only=True, map_location="cpu"),
        load_classifier(str(tmp_path / "best.ckpt")),
    ):
        assert isinstance(loaded.loss, MultilabelBCE)
        assert torch.equal(loaded.eval()(PIXELS), model.eval()(PIXELS))


def test_a_resumed_training_keeps_the_losss_own_parameters(data: ChestXRayDataModule, tmp_path: Path) -> None:
    model = classifier(list(data.labels), loss=ScaledLoss())
    run = trainer(tmp_path)
    run.fit(model, data)
    run.save_checkpoint(tmp_path / "last.ckpt")
    again = classifier(list(data.labels), loss=ScaledLoss())
    trainer(tmp_path).test(again, data, ckpt_path=tmp_path / "last.ckpt", weights_only=True, verbose=False)
    assert isinstance(again.loss, ScaledLoss)
    assert isinstance(model.loss, ScaledLoss)
    assert torch.equal(again.loss.scale, model.loss.scale)
    assert not torch.equal(again.loss.scale, torch.ones(14))
