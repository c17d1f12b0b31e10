"""A folder that is not there is told before data is read, in the words of the layout that would read it."""

from pathlib import Path
from typing import Any

import pytest

from cxr_lightning.app.data_contradictions import data_contradictions
from cxr_lightning.app.written_arguments import written_attribute
from cxr_lightning.data.datasets.base import DatasetLayout, check_data_root
from cxr_lightning.data.datasets.registry import layouts


def target_of(layout: type[DatasetLayout]) -> str:
    return f"{layout.__module__}.{layout.__qualname__}"


def data_of(target: str, root: Path) -> dict[str, Any]:
    return {"source": {"_target_": target}, "root": str(root), "labels": ["Mass"]}


@pytest.mark.parametrize("layout", layouts().values(), ids=list(layouts()))
def test_a_layout_that_needs_its_folder_says_so_in_its_source(layout: type[DatasetLayout], tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.touch()
    assert written_attribute(target_of(layout), "needs_folder") is layout.needs_folder
    assert layout.needs_folder == (layout.name != "phantom")
    assert list(data_contradictions(data_of(target_of(layout), tmp_path))) == []
    for root in (file, tmp_path / "absent", file / "below"):
        with pytest.raises(FileNotFoundError, match="Expected the data set's folder at") as caught:
            check_data_root(root)
        assert str(caught.value).startswith(f"Expected the data set's folder at '{root}' but ")
        found = list(data_contradictions(data_of(target_of(layout), root)))
        assert found == ([str(caught.value)] if layout.needs_folder else [])


def test_the_folder_of_a_layout_of_ones_own_is_looked_for_if_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_layouts").mkdir()
    (tmp_path / "own_layouts" / "__init__.py").write_text(
        "from cxr_lightning.data.datasets.base import DatasetLayout\n"
        "from cxr_lightning.data.datasets.csv_table import CsvLayout\n"
        "class Downloaded(DatasetLayout): ...\n"
        "class Own(DatasetLayout):\n    needs_folder = True\n"
        "class Hospital(CsvLayout): ...\n"
        "class PhantomLayout(CsvLayout): ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    needs = {"Downloaded": False, "Own": True, "Hospital": True, "PhantomLayout": True, "Misspelled": False}
    for name, is_told in needs.items():
        found = list(data_contradictions(data_of(f"own_layouts.{name}", tmp_path / "absent")))
        assert len(found) == is_told, name
