"""Which files a command line means."""

from pathlib import Path

import pytest

from cxr_lightning.serving.files import find_images


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("b.png", "a.PNG", "sub/c.dcm", "sub/notes.txt", ".hidden/d.png", "sub/DICOMDIR", "sub/._e.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "sub/IM0001").write_bytes(bytes(128) + b"DICM")
    (tmp_path / "sub/1.2.840.7").write_bytes(bytes(128) + b"DICM")
    (tmp_path / "sub/README").write_text("not DICOM")
    return tmp_path


def names(tree: Path, *paths: str) -> list[str]:
    return [str(path.relative_to(tree)) for path in find_images(paths)]


def test_a_folder_is_searched_for_images_and_bare_dicom(tree: Path) -> None:
    assert names(tree, str(tree)) == ["a.PNG", "b.png", "sub/1.2.840.7", "sub/IM0001", "sub/c.dcm"]


def test_files_are_taken_whatever_they_are_called_and_once(tree: Path) -> None:
    assert names(tree, str(tree / "sub/notes.txt"), str(tree / "b.png"), str(tree)) == [
        "sub/notes.txt",
        "b.png",
        "a.PNG",
        "sub/1.2.840.7",
        "sub/IM0001",
        "sub/c.dcm",
    ]


def test_patterns_are_filled_in(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert names(tree, f"{tree}/*.png") == ["b.png"]
    assert names(tree, f"{tree}/**/*.dcm") == ["sub/c.dcm"]
    monkeypatch.chdir(tree)
    assert find_images(["*.png"]) == [Path("b.png")]
    (tree / "odd[1].png").touch()
    assert find_images(["odd[1].png"]) == [Path("odd[1].png")]


def test_what_is_not_there_is_named(tree: Path) -> None:
    (tree / "empty").mkdir()
    for name, words in (("gone.png", "file or folder"), ("*.x", "fit"), ("empty", "there is none")):
        with pytest.raises(FileNotFoundError, match=words):
            find_images([str(tree / name)])
