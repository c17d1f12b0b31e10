"""Names in the source texts of modules, which are not imported for that."""

import ast
from functools import cache
from importlib.util import find_spec
from pathlib import Path

Definition = ast.ClassDef | ast.FunctionDef | ast.Assign | ast.AnnAssign
"""What defines a name."""
_MAX_IMPORTS = 10
"""Maximum number of modules through which a name is followed to its definition."""


def is_missing_module(module: str) -> bool:
    """Whether a package of Python sources has no such module.

    Args:
        module: Dotted name of the module.

    Example:
        >>> is_missing_module("cxr_lightning.callbacks"), is_missing_module("cxr_lightning.models")
        (True, False)
    """
    return _source(module) is None and _source(module.partition(".")[0]) is not None


@cache
def written_names(module: str) -> frozenset[str] | None:
    """The names that a module's source defines or imports; None if there is no source, or it does not tell all.

    Args:
        module: Dotted name of the module.

    Example:
        >>> written_names("cxr_lightning.models.schedules") >= {"cosine"}
        True
    """
    if _source(module) is None:
        return None
    names: set[str] = set()
    for node in ast.walk(ast.Module(_statements(module), [])):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
            names |= written_names(_imported(module, node)) or {"*"}
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return None if names & {"*", "__getattr__"} else frozenset(names)


def find_definition(module: str, name: str, depth: int = 0) -> tuple[str, Definition] | None:
    """The definition that a name has in a module, and the module where it stands; imports are followed.

    Args:
        module: Dotted name of the module.
        name: The name.
        depth: Number of imports that were followed already.
    """
    if depth > _MAX_IMPORTS:
        return None
    for node in reversed(_statements(module)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return module, node
        if isinstance(node, ast.Assign | ast.AnnAssign) and assigns(node, name):
            return module, node
        if isinstance(node, ast.ImportFrom):
            alias = next((one for one in node.names if name == (one.asname or one.name)), None)
            if (
                alias is not None
                and (found := find_definition(_imported(module, node), alias.name, depth + 1)) is not None
            ):
                return found
    return None


def assigns(node: ast.Assign | ast.AnnAssign, name: str) -> bool:
    """Whether a statement assigns to a name."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return any(isinstance(one, ast.Name) and one.id == name for one in targets)


def _imported(module: str, node: ast.ImportFrom) -> str:
    """Absolute name of the module that a statement in another one imports from."""
    if not node.level:
        return node.module or ""
    source = _source(module)
    steps = node.level - (source is not None and source.name == "__init__.py")
    return ".".join([*module.split(".")[: -steps or None], *([node.module] if node.module else [])])


@cache
def _statements(module: str) -> list[ast.stmt]:
    """The statements of a module's source; none if there is no source."""
    source = _source(module)
    return [] if source is None else ast.parse(source.read_text(encoding="utf-8")).body


def _source(module: str) -> Path | None:
    package, *parts = module.split(".")
    try:
        spec = find_spec(package)  # imports nothing, as no package is above it
    except (ImportError, ValueError):
        return None
    places = [Path(folder, *parts) for folder in (spec.submodule_search_locations or () if spec else ())]
    files = (file for place in places for file in (place / "__init__.py", place.with_suffix(".py")))
    return next((file for file in files if file.is_file()), None)
