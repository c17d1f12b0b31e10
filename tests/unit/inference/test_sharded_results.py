"""Several processes, here threads, leave the results of one, also after some of them were killed."""

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxr_lightning.imaging.decoded_image import QualityFlag
from cxr_lightning.inference import result_parts, sharded_results
from cxr_lightning.inference.result_parts import merge_results
from cxr_lightning.inference.results import Finding, Result
from cxr_lightning.inference.results_file import result_line
from cxr_lightning.inference.results_folder import RESULTS_FILE, TABLE_FILE
from cxr_lightning.inference.sharded_results import ResultsShard, shard_results
from cxr_lightning.utils import process_files, process_group
from cxr_lightning.utils.path_list import PathList
from cxr_lightning.utils.process_files import list_parts
from cxr_lightning.utils.process_group import ProcessesError
from cxr_lightning.utils.regular_files import read_limited

ABOUT = {"labels": ["Mass"], "model": "0"}
FILES = [f"/data/{number:02}.png" for number in range(20)]
BAD = "/data/03.png"


def listed(files: list[str]) -> PathList:
    paths = PathList()
    for file in files:
        paths.append(file)
    return paths


def result_of(path: Path) -> Result:
    if str(path) == BAD:
        return Result(path, (QualityFlag("empty", "the file is empty"),), rejected=True)
    return Result(path, (), (Finding("Mass", int(path.stem) / 100),))


@contextmanager
def processes(number: int) -> Iterator[threading.local]:
    rank = threading.local()
    with pytest.MonkeyPatch.context() as patch:
        for module in (process_files, process_group, sharded_results):
            patch.setattr(module, "global_rank", lambda: rank.value)
            patch.setattr(module, "world_size", lambda: number)
        yield rank


def predict(
    folder: Path, files: list[str], number: int, killed_after: int | None = None
) -> list[dict[str, int] | None]:
    """Predict in several processes, which may be killed after a number of results each; gives their numbers."""

    resume = (folder / RESULTS_FILE).exists()

    def work(own: int) -> dict[str, int] | None:
        rank.value, done = own, 0
        shard = shard_results(
            folder,
            ABOUT,
            listed(files),
            resume=resume,
            finished=lambda result: not result.rejected,
            excluded=folder / "heatmaps",
        )
        for path in shard.paths():
            if done == killed_after:
                shard.results._file.write(b'{"file": "torn')
                shard.results._file.close()
                return None
            shard.results.add(result_of(path))
            done += 1
        assert done == shard.total
        with shard.results:
            return shard.results.finish({"ok": done})

    with processes(number) as rank, ThreadPoolExecutor(number) as pool:
        return list(pool.map(work, range(number)))


def content(folder: Path) -> tuple[bytes, bytes]:
    assert sorted(path.name for path in folder.iterdir()) == ["about.json", TABLE_FILE, RESULTS_FILE]
    return (folder / RESULTS_FILE).read_bytes(), (folder / TABLE_FILE).read_bytes()


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    folder = tmp_path_factory.mktemp("one") / "out"
    assert predict(folder, FILES, 1) == [{"ok": 20}]
    assert [json.loads(line)["file"] for line in (folder / RESULTS_FILE).open()] == FILES
    return content(folder)


@pytest.mark.parametrize("number", [2, 3, 7])
def test_several_leave_the_files_of_one_and_the_last_tells(
    number: int, tmp_path: Path, expected: tuple[bytes, bytes]
) -> None:
    told = predict(tmp_path / "out", FILES, number)
    assert sorted(map(str, told)) == sorted(["None"] * (number - 1) + ["{'ok': 20}"])
    assert content(tmp_path / "out") == expected


@pytest.mark.parametrize("moment", ["before reading", "after reading"])
def test_a_process_that_finds_all_finished_too_late_does_not_merge(
    moment: str, tmp_path: Path, expected: tuple[bytes, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"
    found: list[object] = []

    def merged_by_another(path: Path, limit: int) -> bytes:
        if not found and path.name.startswith("finished-"):
            found.append(None)
            values = process_files.read_finished(path.parent, 1)  # as the other process, which is quicker
            found.append(values)
            content = read_limited(path, limit)
            assert process_files.claim_merge(path.parent, 1)
            merge_results(list_parts(path.parent), listed(FILES), folder / RESULTS_FILE)
            shutil.rmtree(path.parent)
            if moment == "after reading":
                return content
        return read_limited(path, limit)

    def read_all(path: Path, limit: int) -> bytes:
        """All files are read before the other process removes them."""
        if path.name.endswith("-000000") and path.name.startswith("finished-") and not found:
            kept.update({file.name: file.read_bytes() for file in path.parent.glob("finished-*")})
            merged_by_another(path, limit)
        return kept.get(path.name) or read_limited(path, limit)

    kept: dict[str, bytes] = {}
    monkeypatch.setattr(process_files, "read_limited", read_all if moment == "after reading" else merged_by_another)
    assert predict(folder, FILES, 2) == [None, None]  # told by the other process
    assert found[1] == [{"ok": 10}, {"ok": 10}]
    assert (folder / RESULTS_FILE).read_bytes() == expected[0]


def test_numbers_of_a_process_that_are_something_else_are_named(tmp_path: Path) -> None:
    (tmp_path / "finished-000001-000000").write_text("[1]")
    with processes(1), pytest.raises(ValueError, match=r"^Expected numbers .* start again with --resume\.$"):
        process_files.read_finished(tmp_path, 1)


@settings(max_examples=20, deadline=None)  # files are synced
@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 4)), max_size=4), st.integers(1, 4))
def test_killed_and_resumed_by_any_number_they_leave_the_results_of_one(
    expected: tuple[bytes, bytes], kills: list[tuple[int, int]], last: int
) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name, "out")
        for number, after in kills:
            predict(folder, FILES, number, after)
        merged = last > 1 or bool(list_parts(folder / ".processes"))
        predict(folder, FILES, last)
        results, table = content(folder)
        newest = {json.loads(line)["file"]: line for line in results.splitlines(keepends=True)}
        assert newest == {json.loads(line)["file"]: line for line in expected[0].splitlines(keepends=True)}
        assert sorted(table.splitlines()) == sorted(expected[1].splitlines())
        if merged:
            assert (results, table) == expected


def test_a_finished_folder_is_resumed_with_more_files_and_their_newest_results(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    predict(folder, FILES[:5], 2)
    predict(folder, FILES[8:] + FILES[:7], 3)
    files = [json.loads(line)["file"] for line in (folder / RESULTS_FILE).open()]
    assert files == FILES[8:] + FILES[:7]
    predict(folder, FILES[10:12], 2)  # results of other files stay, in front
    files = [json.loads(line)["file"] for line in (folder / RESULTS_FILE).open()]
    assert files == FILES[8:10] + FILES[12:] + FILES[:7] + FILES[10:12]


def test_results_of_killed_processes_are_no_empty_folder(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    predict(folder, FILES, 2, 3)
    for name in (RESULTS_FILE, "about.json"):
        (folder / name).unlink()
    with pytest.raises(ValueError, match="Add --resume"):
        shard_results(folder, ABOUT, listed(FILES), resume=False, finished=lambda _: True, excluded=folder / "x")


def test_files_of_very_many_starts_are_merged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expected: tuple[bytes, bytes]
) -> None:
    monkeypatch.setattr(result_parts, "_MAX_PARTS", 3)
    for _ in range(4):
        predict(tmp_path / "out", FILES, 2, 1)
    assert len(list_parts(tmp_path / "out/.processes")) <= 5
    predict(tmp_path / "out", FILES, 2)
    assert content(tmp_path / "out") == expected


def test_heat_maps_of_an_earlier_run_are_no_films(tmp_path: Path) -> None:
    (tmp_path / "out/heatmaps").mkdir(parents=True)
    files = [*FILES, str(tmp_path / "out/heatmaps/a.png"), str(tmp_path / "out/heatmaps.png")]
    with pytest.raises(ValueError, match="invalid literal"):  # it has no number
        predict(tmp_path / "out", files, 1)
    assert len((tmp_path / "out" / RESULTS_FILE).read_bytes().splitlines()) == 20


@pytest.mark.parametrize("changed", [{"about": {**ABOUT, "model": "1"}}, {"resume": True}, {"heatmaps": True}])
def test_processes_with_other_arguments_are_refused(changed: dict[str, Any], tmp_path: Path) -> None:
    def work(own: int) -> str:
        rank.value = own
        settings: dict[str, Any] = {"about": ABOUT, "resume": False, "heatmaps": False} | (changed if own else {})
        about = settings.pop("about")
        with pytest.raises(ProcessesError) as raised:
            shard_results(
                tmp_path / "out", about, listed(FILES), finished=lambda _: True, excluded=tmp_path / "x", **settings
            )
        return str(raised.value)

    with processes(2) as rank, ThreadPoolExecutor(2) as pool:
        first, other = pool.map(work, range(2))
    assert "the same files and settings in all 2 processes but process 1 has others" in first
    assert "see the output of rank 0" in other
    assert not (tmp_path / "out" / RESULTS_FILE).exists()


def test_newest_results_in_the_order_of_files(tmp_path: Path) -> None:
    old, new = (Result(Path("a.png"), (QualityFlag("tiny", text),)) for text in ("old", "new"))
    other, unlisted = Result(Path("b.png")), Result(Path("c.png"))
    for name, results in {"1": [old, unlisted], "2": [other, new]}.items():
        (tmp_path / name).write_text("".join(map(result_line, results)))
    merge_results([tmp_path / "1", tmp_path / "2"], listed(["x.png", "a.png", "b.png"]), tmp_path / "1")
    assert (tmp_path / "1").read_text() == "".join(map(result_line, [unlisted, new, other]))


def open_results(folder: Path, *, resume: bool) -> ResultsShard:
    return shard_results(folder, ABOUT, listed(FILES), resume=resume, finished=lambda _: True, excluded=folder / "x")


@pytest.mark.parametrize("resume", [False, True])
def test_a_second_run_into_a_folder_is_refused_while_the_first_one_lasts(
    resume: bool, tmp_path: Path, expected: tuple[bytes, bytes]
) -> None:
    folder = tmp_path / "out"
    shard = open_results(folder, resume=False)
    with shard.results:
        for path in shard.paths():
            shard.results.add(result_of(path))
        with pytest.raises(OSError, match=r"^Expected one run at a time in '.*out' but another run writes to it\. "):
            open_results(folder, resume=resume)
    assert content(folder) == expected


@pytest.mark.parametrize("ended", [0, 1])
def test_a_resumed_run_is_refused_while_any_process_goes_on(
    ended: int, tmp_path: Path, expected: tuple[bytes, bytes]
) -> None:
    folder = tmp_path / "out"
    with processes(2) as rank, ThreadPoolExecutor(2) as pool:

        def begin(own: int) -> ResultsShard:
            rank.value = own
            return open_results(folder, resume=False)

        def work(own: int) -> dict[str, int] | None:
            rank.value = own
            with shards[own].results as results:
                for path in shards[own].paths():
                    results.add(result_of(path))
                return results.finish({"ok": shards[own].total})

        shards = list(pool.map(begin, range(2)))
        assert pool.submit(work, ended).result() is None
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sharded_results, "world_size", lambda: 1)
            with pytest.raises(OSError, match="another run writes to it"):
                open_results(folder, resume=True)
        assert pool.submit(work, 1 - ended).result() == {"ok": 20}
    assert content(folder) == expected


def test_a_killed_run_does_not_lock_its_folder(tmp_path: Path, expected: tuple[bytes, bytes]) -> None:
    folder = tmp_path / "out"
    program = (
        "import os\nfrom pathlib import Path\nfrom cxr_lightning.inference.results_folder import ResultsFolder\n"
        f"ResultsFolder(Path({str(folder)!r}), {ABOUT!r})\nos.abort()"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=False).returncode < 0
    assert (folder / ".processes/lock").exists()
    assert predict(folder, FILES, 1) == [{"ok": 20}]
    assert content(folder) == expected
