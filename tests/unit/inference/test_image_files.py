"""Which files a command line means."""

import os
from pathlib import Path

import pytest

from cxr_lightning.inference.image_files import find_images


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


def test_links_are_followed_once(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "d.png").write_bytes(b"x")
    (tree / "link").symlink_to(elsewhere)
    (tree / "sub/loop").symlink_to(tree)
    (tree / "twice").symlink_to(tree / "sub")
    (tree / "gone.png").symlink_to(tree / "nowhere")  # to be rejected, not passed over
    found = names(tree, str(tree))
    assert found == ["a.PNG", "b.png", "gone.png", "link/d.png", "sub/1.2.840.7", "sub/IM0001", "sub/c.dcm"]


def test_links_are_followed_by_a_pattern_as_in_a_folder(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "d.png").write_bytes(b"x")
    (tree / "link").symlink_to(elsewhere)
    for pattern in ("", "/**", "/**/*.png", "/*/*.png"):
        assert "link/d.png" in names(tree, f"{tree}{pattern}")


def test_a_link_to_a_folder_around_is_not_followed(tree: Path, tmp_path: Path) -> None:
    (tree / "sub" / "all").symlink_to("/")
    (tree / "sub" / "above").symlink_to("../..")
    inside = ["sub/1.2.840.7", "sub/IM0001", "sub/c.dcm"]
    assert names(tree, str(tree / "sub")) == names(tree, f"{tree}/s*") == names(tree, f"{tree}/sub/**") == inside
    for pattern in ("sub/*", "*/*", "**/*", "sub/**/*"):
        found = names(tree, f"{tree}/{pattern}")
        assert {*inside} <= {*found}
        assert not any("all" in name or "above" in name for name in found)


def test_dicom_is_known_whatever_its_ending(tree: Path) -> None:
    for name in ("x.IMA", "y.img", "1.2.840.A"):
        (tree / name).write_bytes(bytes(128) + b"DICM")
    assert {"x.IMA", "y.img", "1.2.840.A"} < set(names(tree, str(tree)))


def test_pipes_are_passed_over(tree: Path) -> None:
    before = names(tree, str(tree))
    os.mkfifo(tree / "pipe")
    (tree / "nothing").symlink_to(tree / "nowhere")
    assert names(tree, str(tree)) == before


def test_a_folder_that_cannot_be_read_is_no_empty_one(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("sub"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(PermissionError, match="sub"):
        find_images([str(tree)])


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
    assert names(tree, f"{tree}/**") == names(tree, str(tree)) == names(tree, f"{tree}/**/")
    assert names(tree, f"{tree}/**/s?b/*.dcm") == ["sub/c.dcm"]
    assert names(tree, f"{tree}/sub/../**/a.*") == ["sub/../a.PNG"]
    assert names(tree, f"{tree}/*/") == ["sub/1.2.840.7", "sub/IM0001", "sub/c.dcm"]
    monkeypatch.chdir(tree)
    assert find_images(["*.png"]) == [Path("b.png")]
    (tree / "odd[1].png").touch()
    assert find_images(["odd[1].png"]) == [Path("odd[1].png")]


def test_patterns_end_where_links_lead_in_circles_and_leave_out_what_is_hidden(tree: Path) -> None:
    before = names(tree, f"{tree}/**/*.png")
    for name in ("one", "two"):
        (tree / name).symlink_to(".")
    (tree / ".other").mkdir()
    (tree / ".other" / "x.png").touch()
    assert names(tree, f"{tree}/**/*.png") == before
    (tree / ".other" / "._x.png").touch()
    assert names(tree, f"{tree}/.other/*.png") == [".other/x.png"]
    with pytest.raises(FileNotFoundError, match="name or pattern"):
        find_images([f"{tree}/**x.png"])


def test_what_is_not_there_is_named(tree: Path) -> None:
    (tree / "empty").mkdir()
    for name, words in (
        ("gone.png", "file or folder"),
        ("*.x", "name or pattern"),
        ("gone[1].png", "name or pattern"),
        ("empty", "there is none"),
        ("b.png/", "file or folder"),
        ("*.png/", "name or pattern"),
    ):
        with pytest.raises(FileNotFoundError, match=words):
            find_images([f"{tree}/{name}"])
