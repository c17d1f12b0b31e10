"""evaluate.py as a user types it, in this process: the report of a checkpoint and of anybody's predictions."""

import csv
import json
from collections.abc import Callable
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from cxr_lightning import cli
from cxr_lightning.app.evaluate import run_evaluate
from cxr_lightning.app.train import run_train
from cxr_lightning.inference.predictions_file import read_predictions, write_predictions
from tests.conftest import assert_one_error_line, start, without_figures, write_nih
from tests.slow_cases import one_in

SMALL = (
    "data=nih",
    "model=densenet_micro",
    "data.image_size=32",
    "data.batch_size=4",
    "data.num_workers=0",
    "data.val_fraction=0.4",
    "trainer.accelerator=cpu",
    "trainer.max_epochs=1",
    "callbacks.progress_bar=null",
    "logger=none",
)
REPORT = {"report.html", "metrics.json", "metrics.csv", "predictions.csv"}


class Trained:
    """A data set, a checkpoint trained on it, and evaluate.py with settings of its own."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.folder, self.root = folder, root
        self.logs = folder / "logs"
        self.run(run_train, *SMALL, f"data.root={root}")
        (self.checkpoint,) = self.logs.rglob("best.ckpt")
        self.summary = json.loads((self.checkpoint.parents[1] / "summary.json").read_text())

    def run(self, main: Callable[[], None], *overrides: str) -> int:
        return start(main, self.folder, *overrides)

    def evaluate(self, *overrides: str, figures: bool = False) -> Path:
        """Run evaluate.py, and give its report folder; its figures are empty unless asked for."""
        settings = ["progress_bar=false", "num_workers=0", "replicates=50"]
        if not any(override.startswith("gradcam.") for override in overrides):
            settings.append("gradcam.top=0")  # most tests need no pictures
        with nullcontext() if figures else without_figures():
            assert self.run(run_evaluate, *settings, *overrides) == 0
        name = "evaluate" if (self.logs / "evaluate").is_dir() else "train"
        return max((self.logs / name / "runs").iterdir(), key=lambda path: path.stat().st_mtime_ns)

    @cached_property
    def report(self) -> Path:
        """The report folder of the checkpoint alone, which all tests share: do not change it."""
        return self.evaluate(f"ckpt={self.checkpoint}", figures=True)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("evaluate")
    return Trained(folder, write_nih(folder / "nih", patients=30, images_per_patient=3))


def metrics_of(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    return content


def write_rows(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_checkpoint_alone_gives_the_report_and_repeats_the_test_aurocs(trained: Trained) -> None:
    folder = trained.report
    assert {path.name for path in folder.iterdir()} >= REPORT | {"figures", "tensorboard", ".hydra"}
    found = metrics_of(folder)
    for label, value in trained.summary["test"]["auroc"].items():
        again = found["labels"][label]["auroc"]["value"]
        # torchmetrics sums in float32: 1e-6, as asked.
        assert again == (None if value is None else pytest.approx(value, abs=1e-6))
    assert found["macro"]["auroc"]["value"] == pytest.approx(trained.summary["test"]["macro_auroc"], abs=1e-6)
    assert found["macro"]["auroc"]["defined_labels"] == trained.summary["test"]["defined_labels"]


@pytest.mark.slow
def test_bfloat16_is_used_when_asked_for_and_said(trained: Trained) -> None:
    exact, rough = (
        metrics_of(trained.evaluate(f"ckpt={trained.checkpoint}", "accelerator=cpu", *more))
        for more in ((), ("precision=bf16",))
    )
    assert exact["settings"]["predicted with"] == "cpu, float32"
    assert rough["settings"]["predicted with"] == "cpu, bf16"
    briers = [[found["labels"][label]["brier"] for label in found["labels"]] for found in (exact, rough)]
    assert briers[0] != briers[1]
    assert briers[0] == pytest.approx(briers[1], abs=0.02)  # bfloat16 has three digits


def test_predictions_hold_what_the_numbers_are_of(trained: Trained) -> None:
    folder = trained.evaluate("ckpt=latest")
    predictions, found = read_predictions(folder / "predictions.csv"), metrics_of(folder)
    assert len(predictions.image_ids) == found["images"]
    column = predictions.labels.index("Effusion")
    expected = roc_auc_score(predictions.targets[:, column], predictions.probabilities[:, column])
    assert found["labels"]["Effusion"]["auroc"]["value"] == pytest.approx(expected, abs=1e-12)
    assert predictions.calibrated is not None


def test_predictions_of_a_file_give_the_same_numbers_and_an_unknown_verdict(trained: Trained, tmp_path: Path) -> None:
    first = trained.report
    second = trained.evaluate(f"predictions={first / 'predictions.csv'}", "data=nih", f"root={trained.root}")
    one, two = metrics_of(first), metrics_of(second)
    for label, numbers in one["labels"].items():
        for name in ("n", "positives", "auroc", "average_precision", "brier", "ece"):
            assert two["labels"][label][name] == numbers[name]
        assert two["labels"][label]["operating_points"] is None
        assert two["labels"][label]["calibration"] is None
    assert "val_predictions" in two["not_fitted"]
    # The list is not NIH's, so it is not comparable; and what was selected cannot be known.
    assert two["protocol"]["comparable"] is False
    assert any("is not known" in reason for reason in two["protocol"]["reasons"])
    assert one["subgroups"] == two["subgroups"]


@pytest.mark.slow
def test_validation_predictions_of_a_file_fit_what_the_checkpoints_own_do(trained: Trained) -> None:
    test = trained.report
    val = trained.evaluate(f"ckpt={trained.checkpoint}", "split=val")
    assert metrics_of(val)["fitted_on"] is None
    files = [f"predictions={test / 'predictions.csv'}", f"val_predictions={val / 'predictions.csv'}"]
    again = trained.evaluate(*files, "data=nih", f"root={trained.root}")  # another validation split: theirs counts
    points = {label: values["operating_points"] for label, values in metrics_of(again)["labels"].items()}
    assert points == {label: values["operating_points"] for label, values in metrics_of(test)["labels"].items()}


def test_validation_predictions_of_evaluated_images_are_refused(
    trained: Trained, capsys: pytest.CaptureFixture[str]
) -> None:
    path = trained.report / "predictions.csv"
    files = [f"predictions={path}", f"val_predictions={path}"]
    assert trained.run(run_evaluate, *files, "data=nih", f"root={trained.root}") == 1
    assert "`val_predictions` of images outside it" in capsys.readouterr().err


def test_missing_predictions_are_named_in_the_verdict_when_allowed(trained: Trained, tmp_path: Path) -> None:
    rows = rows_of(trained.report / "predictions.csv")
    path = write_rows(tmp_path / "fewer.csv", rows[3:])
    settings = [f"predictions={path}", "data=nih", f"root={trained.root}"]
    assert trained.run(run_evaluate, *settings) == 1
    found = metrics_of(trained.evaluate(*settings, "allow_missing=true"))
    assert found["images"] == len(rows) - 3
    assert any("3 images were allowed to be missing" in reason for reason in found["protocol"]["reasons"])


def test_the_calibrated_copy_is_the_model_and_carries_what_was_fitted(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "new" / "calibrated.ckpt"
    first = trained.evaluate(f"ckpt={trained.checkpoint}", f"save_calibrated={copy}")
    assert f"checkpoint with calibration and operating points: {copy}\n" in capsys.readouterr().out
    content = torch.load(copy, weights_only=True)
    original = torch.load(trained.checkpoint, weights_only=True)
    assert all(torch.equal(content["state_dict"][key], value) for key, value in original["state_dict"].items()
               if isinstance(value, torch.Tensor))  # fmt: skip
    assert "fitted" not in original["cxr_lightning"]
    points = content["cxr_lightning"]["fitted"]["operating_points"]["Effusion"]
    assert set(points) == {"youden", "f1", "sensitivity@0.95", "specificity@0.9"}
    # Where there are no validation images, what the copy carries is applied.
    other = trained.evaluate(f"ckpt={copy}", "data=nih", f"root={trained.root}", "data.split=all")
    found = metrics_of(other)
    assert found["fitted_on"] == metrics_of(first)["fitted_on"]
    thresholds = {rule: point["threshold"] for rule, point in found["labels"]["Effusion"]["operating_points"].items()}
    assert thresholds == points
    assert found["images"] == 90
    assert trained.run(run_evaluate, f"ckpt={copy}", f"save_calibrated={copy}") == 1


def test_data_elsewhere_labels_and_rules_can_be_chosen(trained: Trained, tmp_path: Path) -> None:
    labels = rows_of(trained.root / "Data_Entry_2017_v2020.csv")
    rows = [
        {
            "file": f"images/{row['Image Index']}",
            "who": row["Patient ID"],
            "Effusion": str(int("Effusion" in row["Finding Labels"])),
        }
        for row in labels
    ]
    write_rows(trained.root / "mine.csv", rows)
    source = ["data.source.file=mine.csv", "data.source.image_column=file", "data.source.patient_column=who"]
    folder = trained.evaluate(
        f"ckpt={trained.checkpoint}", "data=csv", f"root={trained.root}", *source, "data.split=all",
        "data.labels=[Effusion]", "operating_points=[youden]", "prevalences=[0.05]",
    )  # fmt: skip
    found = metrics_of(folder)
    assert list(found["labels"]) == ["Effusion"]
    assert found["images"] == 90
    assert found["subgroups"] == []
    assert found["not_fitted"]


def test_test_images_alone_are_enough(trained: Trained, tmp_path: Path) -> None:
    import shutil

    root = tmp_path / "moved"
    shutil.copytree(trained.root, root)
    names = set((root / "test_list.txt").read_text().split())
    for path in (root / "images").iterdir():
        if path.name not in names:
            path.unlink()
    found = metrics_of(trained.evaluate(f"ckpt={trained.checkpoint}", f"root={root}"))
    assert found["macro"]["auroc"]["value"] == pytest.approx(trained.summary["test"]["macro_auroc"], abs=1e-6)
    assert found["fitted_on"] is None
    assert "no validation images" in found["not_fitted"]


def test_cxr_compare_of_two_reports(trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = trained.report
    predictions = read_predictions(folder / "predictions.csv")
    noise = np.random.default_rng(0).random(predictions.probabilities.shape)
    other = tmp_path / "other.csv"
    from dataclasses import replace

    write_predictions(replace(predictions, probabilities=noise, calibrated=None), other)
    out = tmp_path / "difference.csv"
    arguments = ["compare", str(folder / "predictions.csv"), str(other), "--replicates", "100", "--out", str(out)]
    assert cli.main(arguments) == 0
    assert "Effusion" in capsys.readouterr().out
    rows = {row["finding"]: row for row in rows_of(out)}
    assert rows["mean"]["p"] != "n/a"
    column = predictions.labels.index("Effusion")
    change = roc_auc_score(predictions.targets[:, column], noise[:, column]) - roc_auc_score(
        predictions.targets[:, column], predictions.probabilities[:, column]
    )
    assert float(rows["Effusion"]["difference"]) == pytest.approx(change, abs=1e-6)
    assert cli.main(arguments) == 1  # the file exists
    assert "exists already" in capsys.readouterr().err
    assert cli.main(["compare", str(folder / "predictions.csv"), str(folder / "metrics.csv")]) == 1
    assert "Expected a predictions file" in capsys.readouterr().err


@pytest.mark.slow
def test_heat_maps_of_the_best_findings_and_of_images_asked_for(trained: Trained) -> None:
    name = (trained.root / "test_list.txt").read_text().split()[0]
    settings = ["gradcam.top=2", f"gradcam.images=[{name}]", "gradcam.target_layer=pre_relu", "gradcam.sanity=1"]
    folder = trained.evaluate(f"ckpt={trained.checkpoint}", *settings)
    found = metrics_of(folder)
    explained = found["explanation"]
    best = sorted(
        (label for label, values in found["labels"].items() if values["auroc"]["value"] is not None),
        key=lambda label: -found["labels"][label]["auroc"]["value"],
    )[:2]
    asked = [picture for picture in explained["gallery"] if picture["kind"] == "asked for"]
    assert [picture["label"] for picture in asked] == best
    assert {picture["image_id"] for picture in asked} == {name}
    assert all((folder / picture["file"]).is_file() for picture in explained["gallery"])
    # The tiny set has boxes of Infiltration on its test images.
    assert [row["label"] for row in explained["localisation"]] == ["Infiltration", "all"]
    boxes = rows_of(trained.root / "BBox_List_2017.csv")
    assert explained["localisation"][0]["images"] == len({row["Image Index"] for row in boxes})
    assert "pre_relu" in explained["method"]
    assert "Heat maps" in (folder / "report.html").read_text()


def test_cxr_explain_draws_the_findings_with_the_best_validation_auroc(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = [str(path) for path in sorted((trained.root / "images").iterdir())[:2]]
    arguments = ["explain", *images, "--model", str(trained.checkpoint), "--out", str(tmp_path / "maps")]
    assert cli.main([*arguments, "--top", "2"]) == 0
    assert "highest validation AUROC" in capsys.readouterr().out
    assert len(list((tmp_path / "maps").glob("*.png"))) == 6  # of each image one in a row, and one a finding
    assert cli.main([*arguments, "--top", "2"]) == 1
    assert "exists already" in capsys.readouterr().err
    assert cli.main([*arguments[:-1], str(tmp_path / "more"), "--labels", "Effusion"]) == 0
    assert [path.name for path in sorted((tmp_path / "more").iterdir())] == [
        "00000001_000.png",
        "00000001_000_Effusion.png",
        "00000001_001.png",
        "00000001_001_Effusion.png",
    ]
    for wrong, words in (
        (["--labels", "Foo"], "findings among the model's"),
        (["--top", "0"], "--top to be at least 1"),
    ):
        assert cli.main([*arguments[:-1], str(tmp_path / "none"), *wrong]) == 1
        assert words in capsys.readouterr().err
    assert cli.main(["explain", "absent.png", "--model", "weights.h5"]) == 1
    assert "First: cxr convert" in capsys.readouterr().err
    assert cli.main(["explain", "absent.png", "--model", str(trained.checkpoint)]) == 1
    assert "absent.png" in capsys.readouterr().err


CASES: dict[str, tuple[list[str], list[str]]] = {
    "nothing": ([], ["neither", "ckpt=latest"]),
    "both": (["ckpt=latest", "predictions=x.csv"], ["both"]),
    "absent checkpoint": (["ckpt=absent.ckpt"], ["'absent.ckpt'", "no such file"]),
    "remote checkpoint": (['ckpt="https://host/x.ckpt"'], ["URL"]),
    "no run yet": (["ckpt=latest", "paths.log_dir=nowhere"], ["as 'latest'", "Train first"]),
    "a csv as checkpoint": (
        ["ckpt={root}/Data_Entry_2017_v2020.csv"],
        ["cannot be loaded safely: it is damaged, or no PyTorch file"],
    ),
    "absent predictions": (["predictions=absent.csv", "data=nih", "root={root}"], ["'absent.csv'"]),
    "predictions without data": (["predictions=x.csv"], ["data=nih"]),
    "validation alone": (["ckpt=latest", "val_predictions=x.csv"], ["`val_predictions`"]),
    "missing root": (["ckpt={ckpt}", "root=absent"], ["'absent'", "Set `data.root`"]),
    "unknown rule": (["ckpt={ckpt}", "operating_points=[yuden]"], ["'yuden'", "operating_points"]),
    "one rule as text": (["ckpt={ckpt}", "operating_points=youden"], ["'operating_points'", "'youden'"]),
    "impossible prevalence": (["ckpt={ckpt}", "prevalences=[2.0]"], ["`prevalences`", "2.0"]),
    "one replicate": (["ckpt={ckpt}", "replicates=1"], ["`replicates`"]),
    "unknown split": (["ckpt={ckpt}", "split=holdout"], ["'split'", "'holdout'"]),
    "unknown key": (["ckpt={ckpt}", "checkpoint=1"], ["'checkpoint'"]),
    "data settings without data": (["ckpt={ckpt}", "data.split=all"], ["'data.split'", "data=nih"]),
    "image size": (["ckpt={ckpt}", "data=nih", "root={root}", "data.image_size=64"], ["data.image_size"]),
    "foreign label": (["ckpt={ckpt}", "data=nih", "root={root}", "data.labels=[Foo]"], ["Foo", "data.labels"]),
    "calibrated predictions": (["predictions=x.csv", "data=nih", "root={root}", "save_calibrated=x"], ["`ckpt`"]),
    "missing with a checkpoint": (["ckpt={ckpt}", "allow_missing=true"], ["`allow_missing`"]),
    "calibrated validation": (["ckpt={ckpt}", "split=val", "save_calibrated=x"], ["`save_calibrated`", "val"]),
    "negative seed": (["ckpt={ckpt}", "seed=-1"], ["`seed`"]),
    "unknown image": (["ckpt={ckpt}", "gradcam.images=[absent.png]"], ["gradcam.images", "absent.png"]),
    "images and no findings": (["ckpt={ckpt}", "gradcam.images=[a.png]", "gradcam.top=0"], ["`gradcam.top`"]),
    "unknown layer": (["ckpt={ckpt}", "gradcam.target_layer=norm5"], ["'gradcam.target_layer'", "norm5"]),
    "negative top": (["ckpt={ckpt}", "gradcam.top=-1"], ["`gradcam.top`"]),
    "no GPU": (["ckpt={ckpt}", "accelerator=gpu"], ["accelerator", "gpu"]),
    "unknown precision": (["ckpt={ckpt}", "precision=fp16"], ["one of ['float32', 'bf16']", "'fp16'"]),
    "precision of nothing": (["predictions=x.csv", "data=nih", "root={root}", "precision=bf16"], ["'precision'"]),
    "bad grammar": (["ckpt=a=b.ckpt"], ["""'ckpt="a=b.ckpt"'"""]),
}


@pytest.mark.parametrize("name", one_in(3, CASES))
def test_bad_input_ends_in_one_helpful_line(
    name: str, trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if name == "no GPU" and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    overrides, words = CASES[name]
    monkeypatch.chdir(tmp_path)
    given = [text.format(ckpt=trained.checkpoint, root=trained.root) for text in overrides]
    assert trained.run(run_evaluate, *given, "progress_bar=false", "num_workers=0") == 1
    output = capsys.readouterr()
    assert_one_error_line(output.out, output.err, words)
    assert not list(trained.logs.rglob("*.tmp"))


@pytest.mark.slow
def test_images_that_the_model_has_seen_are_said_and_never_fitted_on(trained: Trained) -> None:
    settings = [f"ckpt={trained.checkpoint}", "data=nih", f"root={trained.root}"]
    found = metrics_of(trained.evaluate(*settings, "data.split=patient", "data.seed=3", "data.test_fraction=0.5"))
    assert any("of patients that the model was trained on" in warning for warning in found["warnings"])
    # Another division of train_val changes nothing: what is fitted is fitted on the images that were for validation.
    own = metrics_of(trained.report)
    other = metrics_of(trained.evaluate(*settings, "data.seed=5", "data.val_fraction=0.2"))
    assert other["fitted_on"] == own["fitted_on"]
    assert other["labels"] == own["labels"]
    assert not any("trained on" in warning for warning in other["warnings"])
    fewer = metrics_of(trained.evaluate(*settings, "data.views=[PA]"))
    assert not any("trained on" in warning for warning in fewer["warnings"])


@pytest.mark.slow
def test_changed_label_files_are_said(trained: Trained, tmp_path: Path) -> None:
    import shutil

    root = tmp_path / "changed"
    shutil.copytree(trained.root, root)
    path = root / "Data_Entry_2017_v2020.csv"
    path.write_text(path.read_text() + "\n")
    found = metrics_of(trained.evaluate(f"ckpt={trained.checkpoint}", f"root={root}"))
    assert any("label or list files have changed" in warning for warning in found["warnings"])


@pytest.mark.slow
def test_stored_operating_points_are_chosen_from_and_others_refused(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "calibrated.ckpt"
    trained.evaluate(f"ckpt={trained.checkpoint}", f"save_calibrated={copy}", "operating_points=[f1,youden]")
    settings = [f"ckpt={copy}", "data=nih", f"root={trained.root}", "data.split=all"]
    stored = metrics_of(trained.evaluate(*settings, "operating_points=[f1]"))
    # There are validation images among them, but all are evaluated: what is stored is used.
    assert set(stored["labels"]["Effusion"]["operating_points"]) == {"f1"}
    assert any("epochs were compared on" in warning for warning in stored["warnings"])
    assert trained.run(run_evaluate, *settings, "operating_points=[specificity@0.9]", "progress_bar=false") == 1
    assert "stored in the checkpoint, ['f1', 'youden']" in capsys.readouterr().err


def test_an_input_is_never_overwritten(trained: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    path = trained.report / "predictions.csv"
    before = path.read_bytes()
    settings = [f"predictions={path}", "data=nih", f"root={trained.root}", f"hydra.run.dir={path.parent}"]
    assert trained.run(run_evaluate, *settings) == 1
    assert "there is a report in it" in capsys.readouterr().err
    assert path.read_bytes() == before


@pytest.mark.slow
def test_training_on_drops_what_was_fitted_to_earlier_weights(trained: Trained, tmp_path: Path) -> None:
    from cxr_lightning.checkpoints.load import load_classifier

    copy = tmp_path / "calibrated.ckpt"
    trained.evaluate(f"ckpt={trained.checkpoint}", f"save_calibrated={copy}")
    model = load_classifier(str(copy))
    assert "fitted" in model.metadata
    model.on_train_start()
    assert "fitted" not in model.metadata
