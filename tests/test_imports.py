"""Imports point one way, and what must be quick does not import what is slow."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "cxr_lightning"
STAGES = (
    {"labels", "utils", "run_folder"},
    {"losses", "metrics"},
    {"data", "predictions"},
    {"models", "conversion"},
    {"inference", "explain", "export"},
    {"evaluation"},
    {"serving"},
    {"report"},
    {"callbacks", "checkpoint_files", "record", "sweeps"},
    {"config", "resolvers"},
    {"app", "cli"},
)
"""Each stage may import those before it and itself, within one part of the package."""
STRANGERS = ({"data", "models"}, {"report", "data"}, {"losses", "metrics"}, {"models", "conversion"}, {"app", "cli"})
"""Parts that do not know each other."""

MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def imports(path: Path) -> Iterator[str]:
    """The dotted names that a module imports anywhere, functions included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import, which this test cannot read"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def part(dotted: str) -> str | None:
    """The part of our package that a name is in, such as ``data``; None if it is not ours."""
    package, _, rest = dotted.partition(".")
    return rest.partition(".")[0] if package == "cxr_lightning" and rest else None


def own_part(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def stage(name: str) -> int:
    found = [number for number, names in enumerate(STAGES) if name in names]
    assert found, f"'{name}' has no place in the order of imports: give it one in DESIGN and in STAGES"
    return found[0]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_module_imports_only_from_its_own_part_and_earlier_stages(path: Path) -> None:
    own = own_part(path)
    used = {name for dotted in imports(path) if (name := part(dotted))} - {own}
    assert {name for name in used if stage(name) > stage(own)} == set()
    assert {name for name in used if any({own, name} <= strangers for strangers in STRANGERS)} == set()


def test_only_app_knows_hydra() -> None:
    users = {own_part(path) for path in MODULES for dotted in imports(path) if dotted.split(".")[0] == "hydra"}
    assert users == {"app"}


def test_only_conversion_and_later_stages_know_file_formats_of_others() -> None:
    users = {own_part(path) for path in MODULES for dotted in imports(path) if dotted.split(".")[0] == "h5py"}
    assert users <= {"conversion"}


def test_lightning_is_imported_under_one_name() -> None:
    assert not [path for path in MODULES for dotted in imports(path) if dotted.split(".")[0] == "lightning"]


def test_the_package_its_configuration_and_its_command_line_start_without_torch() -> None:
    modules = ("labels", "config", "app.program", "app.train", "app.evaluate", "cli.main")
    names = ["cxr_lightning", *(f"cxr_lightning.{module}" for module in modules)]
    slow = ("torch", "pytorch_lightning", "pandas", "matplotlib")
    code = f"import sys, {', '.join(names)}; print([name for name in {slow} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
    assert done.stdout.strip() == "[]"


def test_a_process_that_decodes_imports_no_torch() -> None:
    code = "import sys, cxr_lightning.data.cache.decode; print({'torch', 'pandas'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
    assert done.stdout.strip() == "set()"


def test_the_packages_names_are_loaded_when_asked_for() -> None:
    import cxr_lightning
    from cxr_lightning.labels import NIH_LABELS

    assert cxr_lightning.NIH_LABELS is NIH_LABELS
    assert set(cxr_lightning.__all__) <= set(dir(cxr_lightning))
    with pytest.raises(AttributeError, match="has no attribute 'Absent'"):
        cxr_lightning.Absent  # noqa: B018  # asking for it is the test
