"""The notebooks run as their readers run them."""

import json
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLE, WALKTHROUGH = DOCS / "example.ipynb", DOCS / "walkthrough.ipynb"
PICTURES = {EXAMPLE: 4, WALKTHROUGH: 4}


NUMBERS = """
import json
print(json.dumps([run.summary["test"]["macro_auroc"], report.auroc, [result.status for result in results]]))
"""
WALKED = """
import json
print(json.dumps([run.summary["train_loss"], run.summary["test"]["macro_auroc"], report.auroc]))
"""
"""Further cells, for the numbers behind what is shown."""


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]


def execute(notebook: Any) -> list[Any]:
    """Run a notebook's cells, and give their outputs; what a cell raises is raised."""
    NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(DOCS)}}).execute()
    return outputs_of(notebook)


def outputs_of(notebook: Any) -> list[Any]:
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def said(outputs: list[Any]) -> str:
    """All text of outputs: streams, plain text and HTML; pictures are left out."""
    data = [output.get("data", {}) for output in outputs]
    texts = [output.get("text", "") for output in outputs]
    shown = "".join([*texts, *(item.get(kind, "") for item in data for kind in ("text/plain", "text/html"))])
    return re.sub(r"base64,[^\"]*", "", shown)


def pictures(outputs: list[Any]) -> int:
    """Number of pictures, as outputs of their own or within HTML."""
    data = [output.get("data", {}) for output in outputs]
    return sum(("image/png" in item) + item.get("text/html", "").count("data:image/png;base64,") for item in data)


@pytest.mark.slow
def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXR_CACHE_DIR", str(tmp_path))
    notebook = read(EXAMPLE)
    notebook.cells.append(nbformat.v4.new_code_cell(NUMBERS))  # type: ignore[no-untyped-call]
    *outputs, numbers = execute(notebook)
    assert pictures(outputs) == PICTURES[EXAMPLE]
    run, report, statuses = json.loads(numbers.text)
    assert report == pytest.approx(run, abs=1e-6)
    assert statuses == ["ok", "ok", "ok", "rejected"]
    assert "web_page" in said(outputs)
    assert "difference" in said(outputs)
    stderr = "".join(output.text for output in outputs if output.get("name") == "stderr")
    assert stderr.splitlines() == ["1 ok, 0 warning, 0 rejected", "results: results"]


@pytest.mark.slow
def test_the_walkthrough_runs_without_the_courses_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXR_CACHE_DIR", str(tmp_path))
    notebook = read(WALKTHROUGH)
    notebook.cells.append(nbformat.v4.new_code_cell(WALKED))  # type: ignore[no-untyped-call]
    *outputs, numbers = execute(notebook)
    losses, run, report = json.loads(numbers.text)
    assert losses[0] > losses[1] > losses[2]
    assert report == pytest.approx(run, abs=1e-6)
    assert pictures(outputs) == PICTURES[WALKTHROUGH]
    assert not any(output.get("name") == "stderr" for output in outputs)


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
def test_it_shows_what_its_cells_gave(path: Path) -> None:
    notebook = read(path)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert "Not for clinical use" in notebook.cells[0].source
    outputs = outputs_of(notebook)
    assert pictures(outputs) == PICTURES[path]
    assert path.stat().st_size < 1_000_000


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
def test_its_outputs_name_no_folder_of_a_machine(path: Path) -> None:
    assert not re.findall(r"/(?:tmp|home|work|Users|root|venv)/", said(outputs_of(read(path))))
