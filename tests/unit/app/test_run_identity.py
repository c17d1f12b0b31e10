"""Which settings make another run: every key of conf/ as docs/resume.md says."""

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hydra import compose
from omegaconf import DictConfig, OmegaConf

from cxr_lightning.app.run_identity import settings_of
from cxr_lightning.training.run_settings import describe_differences, different_keys, read_settings, write_settings

ROOT = Path(__file__).parents[3]
GROUPS = ("data", "model", "loss", "optimizer", "scheduler", "trainer", "callbacks", "logger", "experiment", "debug")

pytestmark = pytest.mark.usefixtures("hydra_conf")


def composed(*overrides: str) -> DictConfig:
    return compose("train", ["data.root=/data", *overrides])


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


def test_every_key_of_conf_is_in_the_table_and_counts_as_it_says() -> None:
    table = documented()
    checked, elsewhere = set(), ("model.optimizer", "model.scheduler", "data.root", "root")
    for group in GROUPS:
        for file in (ROOT / "conf" / group).glob("*.yaml"):
            if file.stem == "base":
                continue
            config = composed(f"{group}={file.stem}", "data.labels=[Edema]")
            settings = settings_of(config)
            for key in keys_of(OmegaConf.to_container(config)):
                (outcome,) = {
                    outcome
                    for keys, excepted, outcome in table
                    if any(fnmatchcase(key, pattern) for pattern in keys)
                    and not any(fnmatchcase(key, pattern) for pattern in excepted)
                } or {f"{key} is not in the table"}
                if key in settings.length:
                    assert outcome.startswith("goes on"), key
                elif key in settings.compared and settings.compared[key] is not None:
                    assert "another run" in outcome, key
                elif key not in settings.compared and key not in elsewhere:
                    assert outcome.startswith("goes on"), key
                checked.add(key)
    assert len(checked) > 100


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("optimizer.lr=0.01", ["optimizer.lr (0.001 in that run, 0.01 now)"]),
        ("optimizer=sgd", ["optimizer (torch.optim.AdamW in that run, torch.optim.SGD now)"]),
        ("seed=2", ["seed (1 in that run, 2 now)"]),
        ("data.image_size=64", ["data.image_size (96 in that run, 64 now)"]),
        ("trainer.limit_train_batches=1", ["trainer.limit_train_batches (1.0 in that run, 1 now)"]),
        ("data.augmentation={_target_:cxr_lightning.data.augment.Augmentation}", ["data.augmentation (null in that"]),
        ("callbacks.model_checkpoint=null", ["callbacks.model_checkpoint (cxr_lightning"]),
        (
            "+callbacks.swa={_target_:pytorch_lightning.callbacks.StochasticWeightAveraging,swa_lrs:0.1}",
            ["callbacks.swa"],
        ),
        ("+trainer.plugins=x", ["trainer.plugins (null in that run, x now)"]),
        ("data.root=/elsewhere", ["data.root (/data in that run, /elsewhere now)"]),
        ("root=/elsewhere", ["data.root (/data in that run, /elsewhere now)"]),
        ("root=/data", []),
        ("data.subset=true", ["trainer.limit_train_batches", "trainer.limit_val_batches", "data.subset"]),
        ("data.num_workers=3", []),
        ("data.cache_dir=/x", []),
        ("paths.cache_dir=/x", []),
        ("logger=csv", []),
        ("callbacks.progress_bar=null", []),
        ("+callbacks.bar={_target_:pytorch_lightning.callbacks.TQDMProgressBar}", []),
        ("trainer.enable_progress_bar=false", []),
        ("trainer.max_epochs=90", []),
        ("+trainer.max_time=00:00:10:00", []),
        ("callbacks.early_stopping.patience=90", []),
        ("callbacks.early_stopping=null", []),
        ("trainer.profiler=simple", []),
        ("model.monitor=val/auroc", []),
    ],
)
def test_what_makes_another_run_is_named(change: str, named: list[str], tmp_path: Path) -> None:
    write_settings(tmp_path, settings_of(composed()))
    recorded = read_settings(tmp_path)
    assert recorded is not None
    found = describe_differences(recorded.compared, settings_of(composed(change)))
    assert len(found) == len(named)
    assert all(any(text in line for line in found) for text in named)


def test_a_value_that_is_spelled_otherwise_is_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    recorded = settings_of(compose("train", ["data.root=set"])).compared
    same = settings_of(compose("train", [f"data.root={tmp_path}/set", "optimizer.lr=1e-3", "monitor.mode=max"]))
    assert different_keys(recorded, same) == []


def test_the_record_of_a_damaged_file_is_none(tmp_path: Path) -> None:
    assert read_settings(tmp_path) is None
    for text in ("", "[1]", "{}", '{"compared": 1, "length": {}}', "\x00"):
        (tmp_path / "settings.json").write_text(text)
        assert read_settings(tmp_path) is None
