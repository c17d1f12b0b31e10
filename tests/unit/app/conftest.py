"""The configuration files, ready to be composed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from cxr_lightning.app.resolvers import register_resolvers

CONF = Path(__file__).parents[3] / "conf"


@contextmanager
def hydra_of(conf: Path) -> Iterator[None]:
    """Within the block, ``hydra.compose`` reads a folder."""
    register_resolvers()
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf), version_base="1.3"):
        yield


@pytest.fixture
def hydra_conf() -> Iterator[None]:
    """Within a test, ``hydra.compose`` reads ``conf/``."""
    with hydra_of(CONF):
        yield
