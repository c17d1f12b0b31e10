"""Imports point one way, and what must be quick does not import what is slow."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "cxr_lightning"
ORDER = (
    "labels",
    "utils",
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
    "cli",
    "app",
)
"""A package imports from itself and from those before it."""
STRANGERS = ({"metrics", "losses"}, {"phantom", "data.datasets"}, {"cli", "app"})
"""Packages that do not know each other."""
NOT_YET = {
    ("checkpoints", "explain"),
    ("checkpoints", "training"),
    ("evaluation", "training"),
    ("explain", "evaluation"),
    ("explain", "inference"),
    ("inference", "report"),
    ("models", "inference"),
}
"""Arrows that still run back up."""

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


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_module_imports_only_from_its_own_package_and_those_before_it(path: Path) -> None:
    own = own_part(path)
    used = {name for dotted in imports(path) if (name := part(dotted))} - {own}
    back = {(own, name) for name in used if ORDER.index(name) > ORDER.index(own)}
    assert back - NOT_YET == set()
    assert {name for name in used if any({own, name} <= strangers for strangers in STRANGERS)} == set()


def test_only_app_knows_hydra() -> None:
    users = {own_part(path) for path in MODULES for dotted in imports(path) if dotted.split(".")[0] == "hydra"}
    assert users == {"app"}


def test_only_checkpoints_know_file_formats_of_others() -> None:
    users = {own_part(path) for path in MODULES for dotted in imports(path) if dotted.split(".")[0] == "h5py"}
    assert users <= {"checkpoints"}


def test_lightning_is_imported_under_one_name() -> None:
    assert not [path for path in MODULES for dotted in imports(path) if dotted.split(".")[0] == "lightning"]


def test_the_package_its_configuration_and_its_command_line_start_without_torch() -> None:
    modules = ("labels", "app.config_check", "app.program", "app.train", "app.evaluate", "cli.main")
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
