"""Several processes, here threads, fill the cache that one would fill, also after they were killed."""

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cxr_lightning.data.cache import CacheSpec, PreparedImages, decode, prepare_images, sharded_build
from cxr_lightning.data.cache.sharded_build import prepare_images_together
from cxr_lightning.imaging.reader import RejectedImagesError, read_image
from cxr_lightning.utils import process_files, process_group
from cxr_lightning.utils.process_files import list_parts
from cxr_lightning.utils.process_group import ProcessesError
from cxr_lightning.utils.signals import Stopped

NAMES = [f"{number:02}.png" for number in range(20)]
BAD = "07.png"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """20 images, of which one is damaged within and one is flagged as blank."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number, name in enumerate(NAMES):
        pixels = np.random.default_rng(number).integers(0, 255, (40, 40), dtype=np.uint8)
        Image.fromarray(pixels * (number != 11)).save(folder / name)
    content = bytearray((folder / BAD).read_bytes())
    content[60:200] = bytes(140)
    (folder / BAD).write_bytes(content)
    return folder


@contextmanager
def processes(number: int) -> Iterator[threading.local]:
    rank = threading.local()
    with pytest.MonkeyPatch.context() as patch:
        for module in (process_files, process_group, sharded_build):
            patch.setattr(module, "world_size", lambda: number)
        for module in (process_files, process_group, sharded_build):
            patch.setattr(module, "global_rank", lambda: rank.value)
        yield rank


def prepare(root: Path, cache: Path, number: int, **settings: Any) -> list[PreparedImages | BaseException | None]:
    def work(own: int) -> PreparedImages | BaseException | None:
        rank.value = own
        try:
            return prepare_images_together(
                NAMES, CacheSpec(root, 16), cache, workers=1, **{"on_bad_image": "skip", **settings}
            )
        except (Exception, KeyboardInterrupt, Stopped) as error:
            return error

    with processes(number) as rank, ThreadPoolExecutor(number) as pool:
        return list(pool.map(work, range(number)))


def content(cache: Path) -> dict[str, bytes]:
    (folder,) = cache.iterdir()
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"}


@pytest.fixture
def expected(root: Path, tmp_path: Path) -> dict[str, bytes]:
    prepare_images(NAMES, CacheSpec(root, 16), tmp_path / "one", on_bad_image="skip", workers=1, progress=False)
    found = content(tmp_path / "one")
    assert {*found} == {"index.jsonl", "pixels.u8", "quality_flags.csv", "rejected.csv"}
    return found


@pytest.mark.parametrize("number", [2, 3])
def test_several_fill_the_cache_of_one(number: int, root: Path, tmp_path: Path, expected: dict[str, bytes]) -> None:
    first, *others = prepare(root, tmp_path / "cache", number)
    assert isinstance(first, PreparedImages)
    assert others == [None] * (number - 1)
    assert content(tmp_path / "cache") == expected
    assert first.num_decoded == 20
    assert list(first.rejected) == [BAD]
    again, *_ = prepare(root, tmp_path / "cache", number)
    assert isinstance(again, PreparedImages)
    assert again.num_decoded == 0
    assert content(tmp_path / "cache") == expected


@pytest.mark.parametrize("last", [1, 2, 3])
def test_what_killed_processes_have_left_is_not_decoded_again(
    last: int, root: Path, tmp_path: Path, expected: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, decoded = tmp_path / "cache", []

    def killed(path: Path, **settings: Any) -> Any:
        decoded.append(path.name)
        if path.name in ("12.png", "13.png"):  # one in each of two processes
            raise KeyboardInterrupt
        return read_image(path, **settings)

    with monkeypatch.context() as patch:
        patch.setattr(decode, "read_image", killed)
        patch.setattr(process_files, "_MAX_SILENCE_SECONDS", 1.0)
        assert isinstance(prepare(root, cache, 2)[0], KeyboardInterrupt)
    assert sorted(decoded) == NAMES[:14]
    (folder,) = cache.iterdir()
    assert len(list_parts(folder / ".processes")) == 2
    first = prepare(root, cache, last)[0]
    assert isinstance(first, PreparedImages)
    assert first.num_decoded == 20 - 12
    reference = prepare_images(NAMES, CacheSpec(root, 16), tmp_path / "one", on_bad_image="skip", progress=False)
    good = [name for name in NAMES if name != BAD]
    assert np.array_equal(first.images(good).read(range(19)), reference.images(good).read(range(19)))
    found = content(cache)
    assert {name: found[name] for name in ("rejected.csv", "quality_flags.csv")} == {
        name: expected[name] for name in ("rejected.csv", "quality_flags.csv")
    }
    assert ".processes" not in os.listdir(folder)  # noqa: PTH208


def test_images_that_cannot_be_used_end_all(root: Path, tmp_path: Path) -> None:
    first, second = prepare(root, tmp_path / "cache", 2, on_bad_image="error")
    assert isinstance(first, RejectedImagesError)
    assert second is None  # it has decoded its shard
    first, second = prepare(root, tmp_path / "cache", 2, on_bad_image="error")  # known without decoding
    assert isinstance(first, RejectedImagesError)
    assert isinstance(second, ProcessesError)


def test_an_error_of_another_process_ends_the_first(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, **settings: Any) -> Any:
        if path.name == "03.png":
            raise OSError(28, "No space left on device")
        return read_image(path, **settings)

    with monkeypatch.context() as patch:
        patch.setattr(decode, "read_image", full)
        first, second = prepare(root, tmp_path / "cache", 2)
    assert str(first).startswith("process 0 ends since process 1 does; see the output of rank 1")
    assert "No space left" in str(second)
    first, _ = prepare(root, tmp_path / "cache", 2)
    assert isinstance(first, PreparedImages)
    assert first.num_decoded == 20 - 11


def test_a_signal_to_another_process_ends_the_first_at_once(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(path: Path, **settings: Any) -> Any:
        if path.name == "03.png":
            raise Stopped(signal.SIGTERM)
        return read_image(path, **settings)

    monkeypatch.setattr(decode, "read_image", stopped)
    monkeypatch.setattr(process_files, "_MAX_SILENCE_SECONDS", 1.0)
    first, second = prepare(root, tmp_path / "cache", 2)
    assert str(first).startswith("process 0 ends since process 1 does")
    assert isinstance(second, Stopped)


def test_the_error_of_the_first_process_is_told_where_the_others_do_not_start(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_TIMEOUT_SECONDS", "_REMOVAL_SECONDS"):
        monkeypatch.setattr(process_group, name, 0.1)
    monkeypatch.setattr(sharded_build, "prepare_images", lambda *_, **__: no_space())
    with processes(2) as rank:
        rank.value = 0
        with pytest.raises(ValueError, match="No space for the images"):
            prepare_images_together(NAMES, CacheSpec(root, 16), tmp_path / "cache", workers=1)


def no_space() -> None:
    raise ValueError("No space for the images")
