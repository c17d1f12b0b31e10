"""Versions of the software that results depend on."""

import platform
from importlib.metadata import PackageNotFoundError, version

PACKAGES = (
    "cxr-lightning",
    "torch",
    "torchvision",
    "pytorch-lightning",
    "torchmetrics",
    "hydra-core",
    "numpy",
    "pandas",
    "pillow",
)


def versions() -> dict[str, str]:
    """Python's version and those of the packages that a run depends on; ``absent`` where there is none."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # run from a source tree that is not installed
            found[package] = "absent"
    return found
