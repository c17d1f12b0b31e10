"""What a walk through folders keeps."""

import tracemalloc
from pathlib import Path

from cxr_lightning.inference.folder_walk import walk_folder


def test_folders_with_long_paths_take_little_memory(tmp_path: Path) -> None:
    long = "x" * 200
    for number in range(400):
        (tmp_path / f"{number // 20}{long}" / f"{number % 20}{long}").mkdir(parents=True)
    tracemalloc.start()
    try:
        found = sum(is_folder for _, is_folder in walk_folder(tmp_path))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found == 1 + 20 + 400
    assert peak < 421 * 200 + 40_000  # a path has more than 400 characters
