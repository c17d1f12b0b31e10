"""Quicker starts of the programs in tests: what Hydra parses at every start is parsed once for all tests.

The same text has the same meaning every time, so that nothing that a test sees changes.
"""

import copy
import functools
import gc
from collections.abc import Iterator
from pkgutil import resolve_name
from typing import Any

import omegaconf.grammar_parser
import pytest


@pytest.fixture(scope="session", autouse=True)
def parse_once() -> Iterator[None]:
    """Parse the same YAML file, and the same value with references, once for all tests."""
    original = resolve_name("yaml:load")
    parsed: dict[tuple[str, str], Any] = {}

    def load(stream: Any, Loader: Any) -> Any:  # noqa: N803  # yaml's name
        text = stream if isinstance(stream, str) else stream.read()
        key = (Loader.__name__, text)
        if key not in parsed:
            if text is not stream:
                stream.seek(0)  # an error names the file
            parsed[key] = original(stream, Loader)
        return copy.deepcopy(parsed[key])

    parse = functools.cache(omegaconf.grammar_parser.parse)  # its trees are only read
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("yaml.load", load)
        for user in ("omegaconf.base", "omegaconf._utils"):
            patch.setattr(f"{user}.parse", parse)
        yield


@pytest.fixture(scope="session", autouse=True)
def pass_over_imported() -> Iterator[None]:
    """Have the garbage collector pass over what was imported for the tests, which stays to the end."""
    gc.freeze()
    yield
    gc.unfreeze()
