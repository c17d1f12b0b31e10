"""The house holds: imports point one way, names are unique, modules are small, and what must be quick is."""

import ast
import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from pkgutil import resolve_name

import pytest

PACKAGE = Path(__file__).parents[2] / "cxr_lightning"
ORDER = (
    "utils",
    "labels",
    "metrics",
    "losses",
    "imaging",
    "phantom",
    "data",
    "models",
    "checkpoints",
    "explain",
    "inference",
    "evaluation",
    "report",
    "training",
    "app",
    "cli",
    "__main__",
)
"""A package imports from itself and from those before it."""
STRANGERS = ({"metrics", "losses"}, {"report", "data"})
"""Packages that do not know each other."""
MAX_LINES = 260
MAX_INNER_IMPORTS = 10
EXTRAS = ("google", "onnx", "onnxruntime", "onnxscript", "pydicom", "wandb")
"""Packages of optional extras, which are imported where they are used; google.protobuf is of onnx."""
VERB_SETTINGS = "CONTEXT_SETTINGS"
"""A constant that every verb of ``cxr`` may have."""

LAZY_IMPORT = re.compile(r"cxr_lightning(\.\w+)+:\w+")
"""A string that names what is imported when it is needed."""
WRITERS = (
    "utils/io.py",
    "checkpoints/foreign/hdf5_worker.py",
    "checkpoints/foreign/keras.py",
    "data/cache/store.py",
)
"""Modules that open files to write: atomically, in a temporary folder or a pipe, or line by line."""

OUTLETS = ("utils/terminal.py", "utils/text_tables.py")
"""Modules through which text and tables go to the terminal; every other one uses them."""
CSV_OUTLETS = ("utils/csv_files.py", "phantom/tables.py")
"""Modules that write CSV: for all data, and the synthetic set's own tables, which are read again."""
PIPED = ("utils/subprocesses.py",)
"""Functions in processes of their own, whose output this package reads."""

READERS = ("utils/regular_files.py", "utils/json_values.py")
"""Modules by which files that other people may have written are opened and parsed; every other one uses them."""
OTHER_READERS = (
    "app/source_names.py",  # the source of this package and of trusted ones
    "checkpoints/foreign/hdf5.py",  # here and below: answers of processes of this package, and their tasks
    "checkpoints/foreign/hdf5_worker.py",
    "checkpoints/onnx_check_results.py",
    "data/cache/decode.py",
    "data/datasets/registry.py",  # a copy of plain values
    "data/path_patients.py",
    "imaging/isolated.py",
    "phantom/worker.py",
    "report/html_page.py",  # files of this package
    "training/run_settings.py",  # a copy of plain values
    "utils/helper_program.py",
    "utils/io.py",  # a folder
    "utils/limited_server.py",  # of the system
    "utils/pickle_check.py",
    "utils/subprocesses.py",
    "utils/torch_io.py",
)
"""Modules that open or parse what nobody else has written, or as their docstrings say."""

MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")
VERBS = sorted((PACKAGE / "cli" / "verbs").glob("[!_]*.py"))


def imports(path: Path) -> Iterator[str]:
    """The dotted names that a module imports anywhere, functions included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import, which this test cannot read"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def lazy_imports(path: Path) -> Iterator[str]:
    """The strings in a module that name something to import."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and LAZY_IMPORT.fullmatch(node.value):
            yield node.value


def opens_for_writing(path: Path) -> bool:
    """Whether a module writes a file by its path, or opens one for that."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            modes = [arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
            if node.func.attr in ("write_text", "write_bytes"):
                return True
            if node.func.attr == "open" and any(set(mode) & set("wax") for mode in modes if len(mode) <= 3):
                return True
    return False


def called_names(path: Path) -> set[str]:
    """The dotted names of what a module calls, such as ``print`` and ``csv.writer``."""
    calls = (node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
    return {ast.unparse(function) for function in calls if isinstance(function, ast.Name | ast.Attribute)}


def reads_by_itself(path: Path) -> bool:
    """Whether a module opens a file to read it, reads one whole by its path, or parses JSON."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call):
            continue
        function = ast.unparse(node.func)
        modes = [
            value.value
            for value in (*node.args, *(keyword.value for keyword in node.keywords if keyword.arg == "mode"))
            if isinstance(value, ast.Constant) and isinstance(value.value, str) and len(value.value) <= 3
        ]
        if function in ("json.loads", "json.load") or function.endswith((".read_text", ".read_bytes")):
            return True
        if function in ("open", "io.open") and not any(set(mode) & set("wax") for mode in modes):
            return True
        if function == "os.open" and "O_WRONLY" not in ast.unparse(node):
            return True
        if function.endswith(".open") and (any("r" in mode for mode in modes) or not (node.args or node.keywords)):
            return True
    return False


def part(dotted: str) -> str | None:
    """The package of ours that a name is in, such as ``data``; None if it is not ours."""
    package, _, rest = dotted.partition(".")
    return rest.partition(".")[0] if package == "cxr_lightning" and rest else None


def own_part(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def inner_imports(path: Path) -> set[str]:
    """What a module imports inside functions, without optional extras."""
    functions = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]
    names = {
        node.module or "" if isinstance(node, ast.ImportFrom) else node.names[0].name
        for function in functions
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    return {name for name in names if name.split(".")[0] not in EXTRAS}


def public_names(path: Path) -> Iterator[str]:
    """Functions, classes and constants that a module defines for others."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                parts = target.elts if isinstance(target, ast.Tuple) else [target]
                yield from (name.id for name in parts if isinstance(name, ast.Name))


def id_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def test_the_root_holds_the_labels_and_the_entry_points_alone() -> None:
    assert {path.name for path in PACKAGE.iterdir() if path.is_file()} == {
        "__init__.py",
        "__main__.py",
        "labels.py",
        "py.typed",
    }


@pytest.mark.parametrize("path", MODULES, ids=id_of)
def test_a_module_imports_only_from_its_own_package_and_those_before_it(path: Path) -> None:
    own = own_part(path)
    used = {name for dotted in imports(path) if (name := part(dotted))} - {own}
    assert {name for name in used if ORDER.index(name) > ORDER.index(own)} == set()
    assert {name for name in used if any({own, name} <= strangers for strangers in STRANGERS)} == set()


@pytest.mark.parametrize("path", [path for path in MODULES if list(lazy_imports(path))], ids=id_of)
def test_what_is_imported_by_name_exists_and_keeps_the_order(path: Path) -> None:
    own = own_part(path)
    for name in lazy_imports(path):
        assert callable(resolve_name(name))
        used = part(name.partition(":")[0])
        assert used is not None
        assert ORDER.index(used) <= ORDER.index(own), name


def test_only_few_modules_open_files_to_write() -> None:
    assert {id_of(path) for path in MODULES if opens_for_writing(path)} == set(WRITERS)


def test_files_are_read_and_json_is_parsed_in_one_way() -> None:
    assert {id_of(path) for path in MODULES if reads_by_itself(path)} == {*READERS, *OTHER_READERS}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("path.open('rb')", True),
        ("path.open()", True),
        ("open(path)", True),
        ("open(path, mode='r')", True),
        ("path.read_bytes()", True),
        ("json.load(file)", True),
        ("path.open('xb')", False),
        ("open(path, 'w')", False),
        ("os.open(os.devnull, os.O_WRONLY)", False),
        ("Image.open(buffer)", False),
        ("read_limited(path, 9)", False),
    ],
)
def test_reading_is_recognized(tmp_path: Path, code: str, expected: bool) -> None:
    (tmp_path / "module.py").write_text(code)
    assert reads_by_itself(tmp_path / "module.py") is expected


def test_the_synthetic_set_knows_nothing_of_data_sets() -> None:
    users = [path for path in MODULES for dotted in imports(path) if dotted.startswith("cxr_lightning.phantom")]
    assert {own_part(path) for path in users} <= {"phantom", "data", "checkpoints", "cli"}


@pytest.mark.parametrize(
    ("library", "packages"),
    [
        ("hydra", {"app"}),
        ("omegaconf", {"app"}),
        ("h5py", {"checkpoints"}),
        ("pydicom", {"imaging"}),
        ("matplotlib", {"report"}),
        ("jinja2", {"report"}),
        ("captum", {"explain"}),
        ("typer", {"cli"}),
    ],
)
def test_only_one_package_knows_a_library(library: str, packages: set[str]) -> None:
    users = {own_part(path) for path in MODULES for dotted in imports(path) if dotted.split(".")[0] == library}
    assert users == packages


def test_lightning_is_imported_under_one_name() -> None:
    assert not [path for path in MODULES for dotted in imports(path) if dotted.split(".")[0] == "lightning"]


def test_imports_are_at_the_top() -> None:
    inner = {id_of(path): found for path in MODULES if (found := inner_imports(path))}
    assert sum(map(len, inner.values())) <= MAX_INNER_IMPORTS, inner


def test_no_two_public_names_are_the_same() -> None:
    homes = defaultdict(list)
    for path in MODULES:
        for name in public_names(path):
            if (
                not name.startswith("_")
                and name not in ("logger", "METRIC")
                and not (path in VERBS and name in (path.stem, VERB_SETTINGS))
            ):
                homes[name].append(id_of(path))
    assert {name: paths for name, paths in homes.items() if len(paths) > 1} == {}


@pytest.mark.parametrize("path", VERBS, ids=id_of)
def test_a_verb_is_one_public_function_of_its_modules_name(path: Path) -> None:
    assert {name for name in public_names(path) if not name.startswith("_")} - {VERB_SETTINGS} == {path.stem}


@pytest.mark.parametrize("path", MODULES, ids=id_of)
def test_modules_are_small_and_say_what_they_are(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= MAX_LINES
    assert ast.get_docstring(ast.parse(text))


@pytest.mark.parametrize("path", MODULES, ids=id_of)
def test_text_goes_to_the_terminal_and_into_csv_files_in_one_way(path: Path) -> None:
    called, imported, name = called_names(path), set(imports(path)), id_of(path)
    if name not in (*OUTLETS, *PIPED):
        assert not called & {"print", "rich.print", "sys.stderr.write", "traceback.print_exc", "Console", "Table"}
        assert not imported & {"rich.print", "rich.console.Console", "rich.table.Table", "rich.markup.render"} - (
            {"rich.console.Console"} if name == "utils/progress.py" else set()  # the type of an argument
        )
    if name not in CSV_OUTLETS:
        assert not {name for name in called if name.startswith("csv.") and "riter" in name}
        assert not {name for name in called if name.endswith(".to_csv")} - {"report.to_csv"}


def modules_loaded_by(code: str) -> set[str]:
    code = f"import sys; {code}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
    return set(done.stdout.split())


def test_the_package_its_configuration_and_its_command_line_start_without_torch() -> None:
    verbs = [f"cli.verbs.{path.stem}" for path in VERBS]
    modules = ("labels", "app.config_check", "app.entry_point", "app.train", "app.evaluate", "cli.main", *verbs)
    names = ["cxr_lightning", *(f"cxr_lightning.{module}" for module in modules)]
    loaded = modules_loaded_by(f"import {', '.join(names)}")
    assert not loaded & {"torch", "pytorch_lightning", "pandas", "matplotlib"}


def test_a_process_that_decodes_imports_no_torch() -> None:
    assert not modules_loaded_by("import cxr_lightning.data.cache.decode") & {"torch", "pandas"}


@pytest.mark.parametrize("name", ["imaging.reader", "phantom", "inference.onnx_backend", "inference.predictor"])
def test_images_and_exported_models_need_no_torch(name: str) -> None:
    heavy = {"torch", "torchvision", "pytorch_lightning", "pandas", "matplotlib", "pydicom"}
    assert not modules_loaded_by(f"import cxr_lightning.{name}") & heavy


@pytest.mark.parametrize("name", ["models.network", pytest.param("explain.grad_cam", marks=pytest.mark.slow)])
def test_the_network_knows_nothing_of_lightning(name: str) -> None:
    assert "pytorch_lightning" not in modules_loaded_by(f"import cxr_lightning.{name}")


def test_the_packages_names_are_loaded_when_asked_for() -> None:
    import cxr_lightning
    from cxr_lightning.labels import NIH_LABELS

    assert cxr_lightning.NIH_LABELS is NIH_LABELS
    assert set(cxr_lightning.__all__) <= set(dir(cxr_lightning))
    with pytest.raises(AttributeError, match="has no attribute 'Absent'"):
        cxr_lightning.Absent  # noqa: B018  # asking for it is the test


@pytest.mark.parametrize(
    "command",
    [
        ["train.py", "--help"],
        ["evaluate.py", "--help"],
        ["-m", "cxr_lightning", "--help"],
        *(["-m", "cxr_lightning", path.stem, "--help"] for path in VERBS),
    ],
    ids=" ".join,
)
def test_help_fits_80_columns(command: list[str]) -> None:
    environment = {**os.environ, "COLUMNS": "80"}
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, check=True, cwd=PACKAGE.parent, env=environment
    )
    assert done.stdout
    assert [line for line in done.stdout.splitlines() if len(line) > 80] == []
