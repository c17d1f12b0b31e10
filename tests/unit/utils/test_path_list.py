"""Lists of paths in little memory are lists, and folders' entries in little memory are sorted."""

import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr_lightning.utils import path_list
from cxr_lightning.utils.external_sort import sort_entries
from cxr_lightning.utils.path_list import PathDigests, PathList, is_first, is_last, path_digest

NAMES = st.binary(min_size=1, max_size=20).filter(lambda name: not set(name) & {0, 47}).map(os.fsdecode)


def listed(paths: list[str]) -> PathList:
    result = PathList()
    for path in paths:
        result.append(path)
    return result


@given(st.lists(NAMES, max_size=40), st.integers(1, 10))
def test_a_list_of_paths_gives_them_back(names: list[str], block: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(path_list, "_BLOCK_PATHS", block)
        patch.setattr(path_list, "_MAX_BYTES_IN_MEMORY", 30)
        paths = listed([f"/data/{name}" for name in names])
        assert len(paths) == len(names)
        assert list(paths.texts()) == [f"/data/{name}" for name in names]
        first, second = iter(paths), iter(paths)  # each has its own place
        assert [path for pair in zip(first, second, strict=True) for path in pair] == [
            Path(f"/data/{name}") for name in names for _ in range(2)
        ]


def test_other_paths_or_another_order_have_another_digest() -> None:
    digests = [listed(paths).digest for paths in (["a", "b"], ["b", "a"], ["ab"], ["a"], ["a\nb"], [])]
    assert len({*digests}) == len(digests)
    assert listed(["a", "b"]).digest == digests[0]


def test_a_hundred_thousand_paths_take_little_memory() -> None:
    tracemalloc.start()
    try:
        paths = listed([])
        for number in range(100_000):
            paths.append(f"/data/films/patient{number // 7:07}/{number:07}.png")
        assert sum(1 for _ in paths.texts()) == 100_000  # Python's table of the names of a Path grows in leaps
        assert tracemalloc.get_traced_memory()[1] < 4_000_000  # a list of texts takes 9 MB, one of paths 40 MB
    finally:
        tracemalloc.stop()


@given(st.lists(st.tuples(NAMES, st.booleans()), max_size=40), st.integers(1, 10))
def test_entries_are_sorted_in_chunks_as_at_once(entries: list[tuple[str, bool]], chunk_size: int) -> None:
    assert list(sort_entries(entries, chunk_size)) == sorted(entries)


def test_a_file_has_one_digest_however_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    digests = PathDigests()
    for name in ("a.png", "./a.png", str(tmp_path / "x/../a.png"), "b.png"):
        digests.append(name)
    assert is_first(digests.array).tolist() == [True, False, False, True]
    assert is_last(digests.array).tolist() == [False, False, True, True]
    assert np.isin(digests.array, np.array([path_digest(tmp_path / "b.png")])).tolist() == [False, False, False, True]
