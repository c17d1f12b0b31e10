from collections.abc import Callable
from pathlib import Path

from PIL import Image

from cxr_lightning.evaluation.results import Evaluation
from cxr_lightning.report.report_folder import FIGURES, write_report


def test_the_folder_is_made_and_holds_the_page_its_numbers_and_its_figures(
    plain_evaluation: Evaluation, tmp_path: Path
) -> None:
    page = write_report(plain_evaluation, tmp_path / "new" / "report")
    folder = page.parent
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files == {"report.html", "metrics.json", "metrics.csv", *(f"figures/{name}.png" for name in FIGURES)}
    for name in FIGURES:
        with Image.open(folder / "figures" / f"{name}.png") as picture:
            assert min(picture.size) > 150
    assert page.read_text(encoding="utf-8").count("<svg") == len(FIGURES)


def test_a_second_report_is_the_same_to_the_byte(undefined_evaluation: Evaluation, tmp_path: Path) -> None:
    write_report(undefined_evaluation, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    write_report(undefined_evaluation, tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_name_that_is_not_unicode_does_not_stop_the_report(
    make_plain: Callable[..., Evaluation], tmp_path: Path
) -> None:
    page = write_report(make_plain(source="b\udcffd.ckpt"), tmp_path)
    assert r"b\udcffd.ckpt" in page.read_text(encoding="utf-8")
