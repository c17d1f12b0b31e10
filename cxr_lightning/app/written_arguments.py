"""Arguments of a class or function as its source text gives them, without importing it.

To import torch and Lightning takes seconds; a wrong key or value should be found without that. Whatever cannot be
evaluated here is checked once the class is imported.
"""

import ast
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, reduce
from operator import or_
from typing import Any

from cxr_lightning.app.source_names import assigns, find_definition

_PLAIN: dict[str, Any] = {
    **{kind.__name__: kind for kind in (bool, int, float, str, bytes, dict, list, tuple, set)},
    "Callable": Callable,
    "Collection": Collection,
    "Mapping": Mapping,
    "Sequence": Sequence,
    **{name: getattr(typing, name) for name in ("Any", "Dict", "List", "Literal", "Optional", "Tuple", "Union")},
    "None": None,
}
"""Names in annotations that mean the same in every module."""


@dataclass(frozen=True)
class Arguments:
    """Arguments that a class or function takes.

    Attributes:
        names: Their names; None for any.
        types: Their types by name, where these are known.
    """

    names: frozenset[str] | None
    types: Mapping[str, Any]

    def without(self, keys: Collection[str], node: str) -> "Arguments":
        """The arguments without the types of some keys.

        Args:
            keys: Dotted keys.
            node: Dotted key of the node whose arguments these are.
        """
        return Arguments(self.names, {name: kind for name, kind in self.types.items() if f"{node}.{name}" not in keys})


@cache
def written_arguments(target: str) -> Arguments | None:
    """Read the arguments of a class or function from its source; None if it is not found.

    Args:
        target: Its dotted name.

    Example:
        >>> found = written_arguments("cxr_lightning.training.callbacks.snapshots")
        >>> found.types["every_n_epochs"]
        int | None
    """
    module, _, name = target.rpartition(".")
    found = find_definition(module, name)
    if found is None:
        return None
    module, definition = found
    if isinstance(definition, ast.FunctionDef):
        return _of_function(module, definition)
    return _of_class(module, definition) if isinstance(definition, ast.ClassDef) else None


def is_written_subclass(target: str, base: str) -> bool:
    """Whether a class is another one or derived from it, as far as the sources tell.

    Args:
        target: Dotted name of the class.
        base: Dotted name of the other one.

    Example:
        >>> is_written_subclass("torch.optim.AdamW", "torch.optim.Optimizer")
        True
    """
    found, ancestor = (find_definition(*name.rpartition(".")[::2]) for name in (target, base))
    if found is None or ancestor is None:
        return False
    module, definition = found
    if not isinstance(definition, ast.ClassDef) or definition is ancestor[1]:
        return definition is ancestor[1]
    names = [ast.unparse(parent) for parent in definition.bases]
    return any(is_written_subclass(f"{module}.{name}", base) for name in names)


def written_attribute(target: str, name: str) -> Any:  # noqa: ANN401  # any plain value
    """Read the plain value of a class's attribute, its own or inherited, from the source; None if it is not found.

    Args:
        target: Dotted name of the class.
        name: Name of the attribute.

    Example:
        >>> written_attribute("cxr_lightning.data.datasets.phantom.PhantomLayout", "known_views")
        ('AP', 'PA')
    """
    found = find_definition(*target.rpartition(".")[::2])
    if found is None:
        return None
    module, definition = found
    if not isinstance(definition, ast.ClassDef):
        return None
    for node in reversed(definition.body):
        if isinstance(node, ast.Assign | ast.AnnAssign) and assigns(node, name):
            return _plain_value(module, node.value)
    inherited = (written_attribute(f"{module}.{ast.unparse(base)}", name) for base in definition.bases)
    return next((value for value in inherited if value is not None), None)


def _plain_value(module: str, node: ast.expr | None) -> Any:  # noqa: ANN401
    """The plain value that an expression or the name of a constant stands for; None if it cannot be evaluated."""
    if isinstance(node, ast.Name):
        where, definition = find_definition(module, node.id) or (module, None)
        return _plain_value(where, definition.value) if isinstance(definition, ast.Assign | ast.AnnAssign) else None
    try:
        return None if node is None else ast.literal_eval(node)
    except ValueError:
        return None


def _of_function(module: str, function: ast.FunctionDef, skipped: int = 0) -> Arguments:
    parameters = [*function.args.posonlyargs, *function.args.args][skipped:] + function.args.kwonlyargs
    types = {one.arg: _evaluate(module, one.annotation) for one in parameters if one.annotation is not None}
    names = None if function.args.kwarg else frozenset(one.arg for one in parameters)
    return Arguments(names, types)


def _of_class(module: str, definition: ast.ClassDef) -> Arguments | None:
    """Arguments of the class's own or inherited ``__init__``, or of a dataclass with its inherited fields."""
    constructors = [node for node in definition.body if isinstance(node, ast.FunctionDef) and node.name == "__init__"]
    if constructors:
        return _of_function(module, constructors[-1], skipped=1)
    bases = [found for base in definition.bases if (found := find_definition(module, ast.unparse(base))) is not None]
    inherited = [_of_class(where, base) for where, base in bases if isinstance(base, ast.ClassDef)]
    known = next((arguments for arguments in inherited if arguments is not None), None)
    if not any("dataclass" in ast.unparse(decorator) for decorator in definition.decorator_list):
        return known
    fields = {
        node.target.id: _evaluate(module, node.annotation)
        for node in definition.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
        if "ClassVar" not in ast.unparse(node.annotation)
    }
    types = {**(known.types if known else {}), **fields}
    return Arguments(frozenset(types), types)


def _evaluate(module: str, node: ast.expr | None) -> Any:  # noqa: ANN401  # a type
    """The type that an annotation stands for; Any if it cannot be evaluated."""
    if isinstance(node, ast.Constant):
        return _evaluate(module, ast.parse(node.value, mode="eval").body) if isinstance(node.value, str) else node.value
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _union([_evaluate(module, side) for side in (node.left, node.right)])
    if isinstance(node, ast.Subscript):
        return _evaluate_subscript(module, node)
    if not isinstance(node, ast.Name):
        return Any
    if node.id in _PLAIN:
        return _PLAIN[node.id]
    found = find_definition(module, node.id)
    if found is None:
        return Any
    where, definition = found
    if isinstance(definition, ast.ClassDef):
        return _class_named(definition.name)
    return Any if isinstance(definition, ast.FunctionDef) else _evaluate(where, definition.value)


def _evaluate_subscript(module: str, node: ast.Subscript) -> Any:  # noqa: ANN401
    kind = ast.unparse(node.value).rpartition(".")[2]
    items = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if kind == "Literal":
        return typing.Literal[tuple(ast.literal_eval(item) for item in items)]
    if kind not in _PLAIN or kind == "Callable":
        return Any
    members = [... if ast.unparse(item) == "..." else _evaluate(module, item) for item in items]
    if kind in ("Union", "Optional"):
        return _union([*members, *([None] if kind == "Optional" else [])])
    return Any if Any in members else _PLAIN[kind][tuple(members)]


def _union(members: Sequence[Any]) -> Any:  # noqa: ANN401
    return Any if any(member is Any for member in members) else reduce(or_, members)


@cache
def _class_named(name: str) -> type:
    """A class in place of one that is not imported: no plain value is an instance of either."""
    return type(name, (), {})
