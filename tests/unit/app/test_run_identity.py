"""Which settings make another run: every key of conf/ as docs/resume.md says."""

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from itertools import chain, zip_longest
from pathlib import Path

import pytest
from hydra import compose
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from cxr_lightning.app.run_identity import settings_of
from cxr_lightning.training.run_limits import is_longer
from cxr_lightning.training.run_settings import (
    RunSettings,
    describe_differences,
    different_keys,
    is_same_length,
    read_settings,
    write_settings,
)
from tests.unit.app.conftest import CONF, hydra_of

ROOT = Path(__file__).parents[3]
GROUPS = ("data", "model", "loss", "optimizer", "scheduler", "trainer", "callbacks", "logger")
WHOLE = ("experiment", "debug")
"""Groups whose files change others' choices."""

pytestmark = pytest.mark.usefixtures("hydra_conf")


def composed(*overrides: str) -> DictConfig:
    return compose("train", ["data.root=/data", *overrides])


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> RunSettings:
    """The settings of a run, as its folder has them."""
    folder = tmp_path_factory.mktemp("run")
    with hydra_of(CONF):
        write_settings(folder, settings_of(composed()))
    found = read_settings(folder)
    assert found is not None
    return found


def choices() -> list[list[str]]:
    """Overrides of a few compositions in which every file of every group is chosen."""
    files = {
        group: [
            f"{group}={path.stem}" for path in sorted((ROOT / "conf" / group).glob("*.yaml")) if path.stem != "base"
        ]
        for group in (*GROUPS, *WHOLE)
    }
    together = zip_longest(*(files[group] for group in GROUPS))
    alone = chain.from_iterable(files[group] for group in WHOLE)
    return [[*filter(None, column)] for column in together] + [[choice] for choice in alone]


def keys_of(node: object, key: str = "") -> Iterator[str]:
    if isinstance(node, dict):
        for name, value in node.items():
            yield from keys_of(value, f"{key}.{name}" if key else str(name))
    else:
        yield key


def documented() -> list[tuple[list[str], list[str], str]]:
    """Rows of the table: patterns of keys, patterns that are excepted, and the outcome."""
    rows = re.findall(r"^\| (`.*) \| (.*) \|$", (ROOT / "docs/resume.md").read_text(encoding="utf-8"), re.MULTILINE)
    found = []
    for keys, outcome in rows:
        excepted = re.findall(r"but `([^`]+)`", keys)
        found.append(([key for key in re.findall(r"`([^`]+)`", keys) if key not in excepted], excepted, outcome))
    return found


def _is_null(config: DictConfig, key: str) -> bool:
    """Whether a setting is null, which is not recorded; those that only a run can resolve are none."""
    try:
        return OmegaConf.select(config, key, throw_on_missing=True) is None
    except OmegaConfBaseException:
        return False


def test_every_key_of_conf_is_in_the_table_and_counts_as_it_says() -> None:
    table = documented()
    checked, elsewhere = set(), ("model.optimizer", "model.scheduler", "data.root", "root")
    for chosen in choices():
        config = composed(*chosen, "data.labels=[Edema]")
        settings = settings_of(config)
        for key in keys_of(OmegaConf.to_container(config)):
            (outcome,) = {
                outcome
                for keys, excepted, outcome in table
                if any(fnmatchcase(key, pattern) or fnmatchcase(f"{key}._target_", pattern) for pattern in keys)
                and not any(fnmatchcase(key, pattern) for pattern in excepted)
            } or {f"{key} is not in the table"}
            assert "not in the table" not in outcome, key
            if key in settings.length:
                assert outcome.startswith("goes on"), key
            elif key in settings.compared:
                assert "another run" in outcome, key
            elif key not in elsewhere and not _is_null(config, key):
                assert outcome.startswith("goes on"), key
            checked.add(key)
    assert len(checked) > 100


SWA = "+callbacks.swa={_target_:pytorch_lightning.callbacks.StochasticWeightAveraging,swa_lrs:0.1}"
"""A callback that changes what is learned."""


@pytest.mark.parametrize(
    "changes",
    [
        {
            "optimizer.lr=0.01": "optimizer.lr (0.001 in that run, 0.01 now)",
            "seed=2": "seed (1 in that run, 2 now)",
            "data.image_size=64": "data.image_size (96 in that run, 64 now)",
            "trainer.limit_train_batches=1": "trainer.limit_train_batches (1.0 in that run, 1 now)",
            "data.root=/elsewhere": "data.root (/data in that run, /elsewhere now)",
        },
        {
            "optimizer=sgd": "optimizer (torch.optim.AdamW in that run, torch.optim.SGD now)",
            "scheduler=plateau": "scheduler (",
            "loss=bce": "loss.weighting (",
            "data.batch_size=2": "data.batch_size (",
            "data.labels=[Edema,Mass]": "data.labels (",
        },
        {
            "data.augmentation={_target_:cxr_lightning.data.augment.Augmentation}": "data.augmentation (null in that",
            "callbacks.model_checkpoint=null": "callbacks.model_checkpoint (cxr_lightning",
            SWA: "callbacks.swa",
            "+trainer.plugins=x": "trainer.plugins (null in that run, x now)",
            "root=/elsewhere": "data.root (/data in that run, /elsewhere now)",
        },
        {
            "data.subset=true": "data.subset (",
            "model.drop_rate=0.5": "model.drop_rate (",
            "trainer.gradient_clip_val=0.5": "trainer.gradient_clip_val (",
            "": "trainer.limit_train_batches (",  # by data.subset
            " ": "trainer.limit_val_batches (",
        },
    ],
    ids=["values", "groups", "parts", "subset"],
)
def test_what_makes_another_run_is_named(changes: dict[str, str], recorded: RunSettings) -> None:
    found = describe_differences(recorded.compared, settings_of(composed(*filter(str.strip, changes))))
    assert len(found) == len(changes)
    assert all(any(line.startswith(text) for line in found) for text in changes.values())


def test_what_makes_no_other_run_is_not(recorded: RunSettings) -> None:
    changes = (
        "root=/data",
        "data.num_workers=3",
        "data.cache_dir=/x",
        "paths.cache_dir=/x",
        "logger=csv",
        "callbacks.progress_bar=null",
        "+callbacks.bar={_target_:pytorch_lightning.callbacks.TQDMProgressBar}",
        "trainer.enable_progress_bar=false",
        "trainer.max_epochs=90",
        "+trainer.max_time=00:00:10:00",
        "trainer.profiler=simple",
        "model.monitor=val/auroc",
    )
    for stopping in ("callbacks.early_stopping.patience=90", "callbacks.early_stopping=null"):
        assert describe_differences(recorded.compared, settings_of(composed(*changes, stopping))) == []


def test_a_value_that_is_spelled_otherwise_is_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "set")
    recorded = settings_of(compose("train", ["data.root=set"])).compared
    for folder in (f"{tmp_path}/set", "link"):
        same = settings_of(compose("train", [f"data.root={folder}", "optimizer.lr=1e-3", "monitor.mode=max"]))
        assert different_keys(recorded, same) == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("trainer.gradient_clip_val=1", "trainer.gradient_clip_val=1.0"),
        ("trainer.devices=1", "trainer.devices='1'"),
        ("trainer.overfit_batches=0.0", "trainer.overfit_batches=0"),
        ("trainer.accumulate_grad_batches=1", "trainer.accumulate_grad_batches=null"),
        ("trainer.limit_train_batches=1.0", "trainer.limit_train_batches=null"),
        ("trainer.gradient_clip_val=1", "trainer.gradient_clip_val=1 +trainer.gradient_clip_algorithm=norm"),
        ("seed=1", "seed=1 +trainer.val_check_interval=1.0"),
        ("data.val_fraction=0.25", "data.val_fraction=2.5e-1"),
    ],
)
def test_a_value_that_is_written_otherwise_is_the_same(one: str, other: str) -> None:
    assert different_keys(settings_of(composed(*one.split())).compared, settings_of(composed(*other.split()))) == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("trainer.limit_train_batches=1", "trainer.limit_train_batches=1.0"),
        ("trainer.overfit_batches=1", "trainer.overfit_batches=1.0"),
        ("trainer.accumulate_grad_batches=2", "trainer.accumulate_grad_batches=null"),
        ("data.labels=[Mass]", "data.labels=[mass]"),
        ("trainer.precision=32", "trainer.precision=16-mixed"),
    ],
)
def test_a_value_that_means_something_else_is_not(one: str, other: str) -> None:
    assert len(different_keys(settings_of(composed(one)).compared, settings_of(composed(other)))) == 1


@pytest.mark.parametrize(
    ("there", "here", "longer"),
    [
        ({"trainer.max_epochs": 2, "trainer.min_epochs": 1}, {"trainer.max_epochs": 2, "trainer.min_epochs": 2}, False),
        ({"trainer.max_epochs": 2, "trainer.max_steps": -1}, {"trainer.max_epochs": 2}, False),
        ({"trainer.max_epochs": 2, "trainer.max_steps": 9}, {"trainer.max_epochs": 2}, True),
        (
            {"trainer.max_epochs": 2, "callbacks.a.patience": 3},
            {"trainer.max_epochs": 1, "callbacks.a.patience": 9},
            False,
        ),
        ({"callbacks.a.patience": 3}, {}, True),
        ({"callbacks.a.patience": 3, "callbacks.a.mode": "max"}, {"callbacks.a.patience": 3}, False),
        ({"callbacks.a.verbose": False, "callbacks.a.min_delta": 0.0}, {"callbacks.a.verbose": True}, False),
        ({"trainer.max_time": "2:00:00:00"}, {"trainer.max_time": "10:00:00:00"}, True),
        ({"trainer.max_time": "00:36:00:00"}, {"trainer.max_time": "01:12:00:00"}, False),
        ({"trainer.max_time.hours": 2}, {"trainer.max_time.hours": 1}, False),
        ({"trainer.max_time.hours": 2}, {"trainer.max_time.hours": 1, "trainer.max_time.minutes": 61}, True),
        ({"callbacks.timer.duration": "00:01:00:00"}, {"callbacks.timer.duration": "00:01:00:01"}, True),
        ({"trainer.max_time": "soon"}, {"trainer.max_time": "nan:x"}, False),
    ],
)
def test_a_run_is_longer_by_its_limits_alone(there: dict[str, object], here: dict[str, object], longer: bool) -> None:
    assert is_longer(there, here) is longer


def test_the_same_length_may_be_written_in_two_ways() -> None:
    assert is_same_length({"trainer.max_epochs": 3}, {"trainer.max_epochs": "3", "trainer.max_steps": -1})
    assert not is_same_length({"trainer.max_epochs": 3}, {"trainer.max_epochs": 3, "trainer.max_steps": 9})


def test_a_value_from_the_environment_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATE", "0.1")
    recorded = settings_of(composed('optimizer.lr="${oc.decode:${oc.env:RATE}}"')).compared
    assert different_keys(recorded, settings_of(composed("optimizer.lr=0.1"))) == []
    monkeypatch.setenv("RATE", "0.2")
    now = settings_of(composed('optimizer.lr="${oc.decode:${oc.env:RATE}}"'))
    assert describe_differences(recorded, now) == ["optimizer.lr (0.1 in that run, 0.2 now)"]


def test_the_record_of_a_damaged_file_is_none(tmp_path: Path) -> None:
    assert read_settings(tmp_path) is None
    for text in ("", "[1]", "{}", '{"compared": 1, "length": {}}', "\x00"):
        (tmp_path / "settings.json").write_text(text)
        assert read_settings(tmp_path) is None
