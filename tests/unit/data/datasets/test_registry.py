"""Layouts are found by name; those of other packages by their dotted name, if the package is trusted."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from cxr_lightning.data.datasets.base import DatasetLayout
from cxr_lightning.data.datasets.csv_table import CsvLayout
from cxr_lightning.data.datasets.nih import NIHLayout
from cxr_lightning.data.datasets.phantom import PhantomLayout
from cxr_lightning.data.datasets.registry import build_layout, layout_record, layouts
from cxr_lightning.data.datasets.walkthrough import WalkthroughLayout
from cxr_lightning.data.manifest import Manifest


@dataclass(frozen=True)
class OtherLayout(DatasetLayout):
    folder: str | Path = "images"

    def read(self, root: Path, labels: Sequence[str] | None = None) -> Manifest:
        raise NotImplementedError


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> str:
    """This module as a package of its own that is trusted."""
    monkeypatch.setenv("CXR_PLUGINS", "somebodys")
    monkeypatch.setitem(sys.modules, "somebodys", sys.modules[__name__])
    monkeypatch.setattr(OtherLayout, "__module__", "somebodys")
    return "somebodys.OtherLayout"


def test_every_layout_is_found_by_its_name() -> None:
    known = {"nih": NIHLayout, "walkthrough": WalkthroughLayout, "csv": CsvLayout, "phantom": PhantomLayout}
    assert known.items() <= layouts().items()


@pytest.mark.parametrize(
    "layout", [NIHLayout("a.csv"), WalkthroughLayout(), CsvLayout(image_column="x"), PhantomLayout(train_images=64)]
)
def test_a_recorded_layout_is_built_again(layout: DatasetLayout) -> None:
    record = layout_record(layout)
    assert record["name"] == layout.name
    assert build_layout(**record) == layout


def test_a_layout_of_a_trusted_package_is_recorded_by_its_dotted_name(trusted: str) -> None:
    layout = OtherLayout("films")
    assert layout.name == "OtherLayout"
    assert layout_record(layout) == {"name": trusted, "folder": "films"}
    assert build_layout(trusted, folder="films") == layout


def test_it_is_refused_where_its_package_is_not_trusted(trusted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CXR_PLUGINS")
    with pytest.raises(ValueError, match=f"got '{trusted}'. Other code runs only .* CXR_PLUGINS=somebodys"):
        build_layout(trusted)


def test_what_is_no_layout_is_refused(trusted: str) -> None:
    for name, options in (("somebodys.Path", {}), (trusted, {"films": 1}), ("xray", {}), ("nih", {"x": 1})):
        with pytest.raises(ValueError, match="a layout among"):
            build_layout(name, **options)
    with pytest.raises(ValueError, match="'somebodys' has no 'Absent'"):
        build_layout("somebodys.Absent")


def test_options_that_a_checkpoint_cannot_hold_are_refused(trusted: str) -> None:
    with pytest.raises(ValueError, match=r"plain values as the options of the layout somebodys\.OtherLayout"):
        layout_record(OtherLayout(Path("films")))
