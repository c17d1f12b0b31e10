import platform

import pytest
import torch

from cxr_lightning.utils import versions as module
from cxr_lightning.utils.versions import versions


def test_versions_are_those_of_the_running_packages() -> None:
    found = versions()
    assert found["python"] == platform.python_version()
    # torch.__version__ is a str subclass with a local part ("+cu130") that the metadata may leave out.
    assert str(torch.__version__).split("+")[0] == found["torch"].split("+")[0]
    assert set(module.PACKAGES) < set(found)


def test_a_package_that_is_not_installed_is_said_to_be_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PACKAGES", ("no-such-package",))
    assert versions()["no-such-package"] == "absent"
