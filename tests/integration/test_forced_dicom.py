"""A radiograph whose header states another modality is used by every program that is told to."""

import shlex
from pathlib import Path

import numpy as np
import pytest

from cxr_lightning.checkpoints.save import save_classifier
from cxr_lightning.cli.main import main
from cxr_lightning.models.classifier import ChestXRayClassifier
from tests.conftest import Run, summary_of
from tests.films import film
from tests.unit.imaging.test_dicom import content_of, dataset_of

COUNT = 32
DATA = ("data=csv", "data.labels=[A]", "data.source.image_column=path", "data.source.patient_column=patient")
SETTINGS = (
    *DATA,
    *("data.split=patient", "data.val_fraction=0.25", "data.test_fraction=0.25", "data.image_size=32"),
    *("data.num_workers=0", "data.batch_size=4", "model=densenet_micro", "trainer=cpu", "trainer.max_epochs=1"),
    *("callbacks=minimal", "logger=none", "trainer.enable_progress_bar=false"),
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Films in DICOM; the headers of two state a modality that is none of radiographs."""
    root = tmp_path / "set"
    root.mkdir()
    rows = ["path,patient,A"]
    for number in range(COUNT):
        modality = "XR" if number in (5, 6) else "DX"
        (root / f"{number:02d}.dcm").write_bytes(content_of(dataset_of(film(number), Modality=modality)))
        rows.append(f"{number:02d}.dcm,p{number},{number % 2}")
    (root / "labels.csv").write_text("\n".join(rows) + "\n")
    return root


def error_line(capsys: pytest.CaptureFixture[str]) -> str:
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    return line


def test_prepare(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["prepare", str(root), "--layout", "csv", "--image-column", "path", "--image-size", "32"]
    arguments += ["--cache-dir", str(tmp_path / "cache")]
    assert main(arguments) == 1
    line = error_line(capsys)
    assert (
        f"2 of 32 images cannot be read: '{root}/05.dcm': its header says that it is no radiograph (by its Modality, "
        "(0008,0060)); '" in line
    )
    assert "if the header is wrong, set --force" in line
    (root / "07.dcm").write_bytes(content_of(dataset_of(255 - film(7), Modality="DX")))
    assert main([*arguments, "--force"]) == 0
    out = capsys.readouterr().out
    assert "32 images of 32 px in " in out
    assert "1 of 32 images have quality flags: inverted 1; listed in '" in out
    (listed,) = tmp_path.glob("cache/images/*-force-*/quality_flags.csv")
    assert listed.read_text().splitlines()[1].startswith("07.dcm,inverted,")


@pytest.mark.parametrize("cache", ["true", "false"])
def test_train_and_evaluate(
    root: Path, run: Run, evaluate: Run, cache: str, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = (*SETTINGS, f"data.root={root}", f"data.cache={cache}")
    if cache == "true":
        assert run(*settings)[0] == 1
        assert "set --force, or data.force=true of train.py" in error_line(capsys)
    code, folder = run(*settings, "data.force=true")
    assert code == 0
    assert summary_of(folder)["data"]["settings"]["force"] is True
    (checkpoint,) = (folder / "checkpoints").glob("best*.ckpt")
    for split in ("train", "test"):  # the checkpoint records it
        assert evaluate(f"ckpt={checkpoint}", f"split={split}", f"cache={cache}")[0] == 0
    others = [*DATA, f"data.root={root}", "data.split=all", f"cache={cache}"]
    capsys.readouterr()
    assert evaluate(f"ckpt={checkpoint}", *others)[0] == 1
    assert "its header says that it is no radiograph" in error_line(capsys)
    assert evaluate(f"ckpt={checkpoint}", *others, "data.force=true")[0] == 0


def test_a_remedy_of_evaluate_keeps_what_the_checkpoint_records(
    root: Path, run: Run, evaluate: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "07.dcm").write_bytes(content_of(dataset_of(255 - film(7), Modality="DX")))
    (root / "08.dcm").write_bytes(b"")
    table = (root / "labels.csv").read_text().replace("path,patient,A", "path,patient,Other A")
    (root / "labels.csv").write_text(table.replace("01.dcm,p1,1", "01.dcm,p1,-1"))
    policies = ("data.force=true", "data.on_flag=skip", "data.on_bad_image=skip", "data.uncertain=ones")
    code, folder = run(*SETTINGS, f"data.root={root}", "data.label_map={Other A: A}", *policies)
    assert code == 0
    left_out = (folder / "left_out.csv").read_text().splitlines()
    assert [line.partition(",")[0] for line in left_out] == ["image_id", "08.dcm", "07.dcm"]
    assert "quality flags: inverted (it is likely inverted" in left_out[2]
    (checkpoint,) = (folder / "checkpoints").glob("best*.ckpt")
    predictions = evaluate(f"ckpt={checkpoint}")[1] / "predictions.csv"
    (root / predictions.read_text().splitlines()[1].partition(",")[0]).unlink()
    capsys.readouterr()
    assert evaluate(f"ckpt={checkpoint}")[0] == 1
    line = error_line(capsys)
    for setting in (*policies, "data.on_missing=skip"):
        assert line.count(setting) == 1
    remedy = shlex.split(line.partition("or set ")[2].partition(" to go on")[0])
    assert evaluate(f"ckpt={checkpoint}", *remedy)[0] == 0


def test_explain(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "x.ckpt"
    save_classifier(ChestXRayClassifier(["A"], backbone="densenet_micro", image_size=32).eval(), model)
    arguments = [
        "explain",
        str(root / "05.dcm"),
        "--model",
        str(model),
        "--labels",
        "A",
        "--out",
        str(tmp_path / "maps"),
    ]
    assert main(arguments) == 1
    assert "its header says that it is no radiograph" in error_line(capsys)
    assert main([*arguments, "--force"]) == 0
    assert {path.name for path in (tmp_path / "maps").iterdir()} == {"05.png", "05_A.png"}


def test_convert_takes_it_with_training_data_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", "x.h5", str(tmp_path / "x.ckpt"), "--force"]) == 1
    assert "Expected --training-data beside --layout, --seed and --force" in error_line(capsys)


def test_the_pixels_are_those_of_the_same_film_with_a_right_header() -> None:
    from cxr_lightning.imaging.reader import decode_image

    right, wrong = (content_of(dataset_of(film(1), Modality=modality)) for modality in ("DX", "XR"))
    np.testing.assert_array_equal(decode_image(right, "x").pixels, decode_image(wrong, "x", force=True).pixels)
