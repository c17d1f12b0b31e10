"""Program of every helper process: imports this package by its path, and calls one of its functions.

    python -I -X utf8 helper_program.py JSON

It is started by :mod:`cxr_lightning.utils.subprocesses`. Isolated (``-I``), Python takes no module from the current
folder, where a file may be called ``json.py``, and runs nothing that ``PYTHON*`` variables name. The standard library
and the installed packages come before what else the starting process may import from.
"""

import json
import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

_PACKAGE = "cxr_lightning"


def import_package(folder: Path) -> ModuleType:
    """Import the package in a folder, whatever packages of that name are installed.

    Args:
        folder: Folder of the package.
    """
    spec = spec_from_file_location(_PACKAGE, folder / "__init__.py", submodule_search_locations=[str(folder)])
    assert spec is not None
    assert spec.loader is not None
    package = module_from_spec(spec)
    sys.modules[_PACKAGE] = package
    spec.loader.exec_module(package)
    return package


def run_helper(arguments: str) -> None:
    """Call the function that the starting process names.

    Args:
        arguments: JSON with ``paths``, where else to import from, and ``module``, ``function`` and ``values`` of the
            call.
    """
    call = json.loads(arguments)
    sys.path += call["paths"]
    import_package(Path(__file__).resolve().parents[1])
    getattr(import_module(call["module"]), call["function"])(*call["values"])


if __name__ == "__main__":
    run_helper(sys.argv[1])
