"""Which files a command line means."""

import os
import tracemalloc
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cxr_lightning.inference.image_files import describe_passed_over, find_images


def encode(file_format: str) -> bytes:
    buffer = BytesIO()
    Image.new("L", (8, 8)).save(buffer, file_format)
    return buffer.getvalue()


def dicom_of(sop_class: str) -> bytes:
    """The first bytes of a DICOM file of this class."""
    uid = sop_class.encode()
    return bytes(128) + b"DICM" + b"\x02\0\x02\0UI" + len(uid).to_bytes(2, "little") + uid + bytes(100)


CHEST = "1.2.840.10008.5.1.4.1.1.1.1"
IMAGES = [encode(name) for name in ("PNG", "JPEG", "TIFF", "BMP", "GIF", "PPM", "WEBP")] + [dicom_of(CHEST)]
OTHERS = {
    "DICOMDIR file": dicom_of("1.2.840.10008.1.3.10"),
    "presentation state": dicom_of("1.2.840.10008.5.1.4.1.1.11.1"),
    "structured report": dicom_of("1.2.840.10008.5.1.4.1.1.88.22"),
    "key object selection": dicom_of("1.2.840.10008.5.1.4.1.1.88.59"),
    "PDF document in DICOM": dicom_of("1.2.840.10008.5.1.4.1.1.104.1"),
    "waveform": dicom_of("1.2.840.10008.5.1.4.1.1.9.1.1"),
    "zip archive": b"PK\x03\x04\x14\0",
    "gzip file": b"\x1f\x8b\x08",
    "NIfTI volume": b"\x5c\x01\0\0" + bytes(340) + b"n+1\0" + bytes(8),
    "text file": b"BM is no bitmap here, P1 no picture.\n",
    "CSV table": b"image,patient\n1,2\n",
    "JSON file": b'{"a": 1}',
    "empty file": b"",
    "file of an unknown kind": bytes([200, 1, 2, 3] * 30),
}
NAMES = st.sampled_from(
    ["x", "IM0001", "a.b", "c.dcm", "d.jfif", "e.PNG", "notes.txt", ".hidden", "._e.png", "1.2.840.7"]
)
FILES = st.tuples(
    st.lists(st.sampled_from(["sub", "deep", ".git"]), max_size=2),
    NAMES,
    st.sampled_from(IMAGES + list(OTHERS.values())),
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("b.png", "a.PNG", "sub/c.dcm", "sub/notes.txt", ".hidden/d.png", "sub/DICOMDIR", "sub/._e.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "sub/IM0001").write_bytes(bytes(128) + b"DICM")
    (tmp_path / "sub/1.2.840.7").write_bytes(bytes(128) + b"DICM")
    (tmp_path / "sub/README").write_text("not DICOM")
    return tmp_path


def find(*paths: str) -> tuple[list[Path], dict[str, int]]:
    """The files that are found, and what is passed over."""
    found = find_images(paths)
    return list(found.paths), found.passed_over


def names(tree: Path, *paths: str) -> list[str]:
    return [str(path.relative_to(tree)) for path in find(*paths)[0]]


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
    assert find("*.png")[0] == [Path("b.png")]
    (tree / "odd[1].png").touch()
    assert find("odd[1].png")[0] == [Path("odd[1].png")]


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


@pytest.mark.parametrize("content", IMAGES, ids=["PNG", "JPEG", "TIFF", "BMP", "GIF", "PPM", "WebP", "DICOM"])
@pytest.mark.parametrize("name", ["x", "x.jfif", "x.image", "IM0001", "film.png.download", "1.2.840.7"])
def test_an_image_is_known_by_its_content_whatever_its_name(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    assert find(str(tmp_path)) == ([tmp_path / name], {})


@pytest.mark.parametrize("kind", OTHERS)
def test_what_is_no_image_is_named(kind: str, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(IMAGES[0])
    for name in ("b", "c.txt", "d.dat"):
        (tmp_path / name).write_bytes(OTHERS[kind])
    assert find(str(tmp_path)) == ([tmp_path / "a.png"], {kind: 3})


def test_reports_with_the_suffix_of_images_are_passed_over_too(tmp_path: Path) -> None:
    for number, kind in enumerate(("structured report", "presentation state", "DICOMDIR file")):
        (tmp_path / f"{number}.dcm").write_bytes(OTHERS[kind])
    with pytest.raises(FileNotFoundError, match=r"there is none \(passed over: 1 .*, 1 .*, 1 .*\)\. Name files"):
        find_images([str(tmp_path)])
    (tmp_path / "broken.dcm").write_bytes(b"x")  # to be rejected, not passed over
    assert find(str(tmp_path))[0] == [tmp_path / "broken.dcm"]


def test_what_is_passed_over_is_counted_once_and_not_if_it_is_named(tree: Path) -> None:
    found = find_images([str(tree), str(tree / "sub")])
    assert found.passed_over == {"hidden file": 2, "text file": 3}
    assert describe_passed_over(found.passed_over) == "passed over: 3 text files, 2 hidden files"
    assert find_images([str(tree / "sub/notes.txt"), str(tree)]).passed_over == {"hidden file": 2, "text file": 2}
    assert describe_passed_over({}) == ""


LINKS = st.tuples(
    st.sampled_from(["", "sub", ".git"]), st.sampled_from(["link", ".link", "to.png"]), st.integers(0, 99)
)


def entries_of(root: Path) -> list[Path]:
    """All files, and links to files and folders, that are met without following a link."""
    found = (Path(place, name) for place, folders, files in os.walk(root) for name in (*folders, *files))
    return [path for path in found if path.is_symlink() or not path.is_dir()]


def is_hidden(path: Path, root: Path) -> bool:
    return any(part[0] == "." for part in path.relative_to(root).parts)


@given(st.lists(FILES, min_size=1, max_size=12), st.lists(LINKS, max_size=4), st.sampled_from(["", "/", "/**", " "]))
def test_no_file_of_a_folder_is_unaccounted_for(
    files: list[tuple[list[str], str, bytes]], links: list[tuple[str, str, int]], spelling: str
) -> None:
    with TemporaryDirectory() as name:
        root = Path(name)
        (root / "first.png").touch()
        for folders, file, content in files:
            place = root.joinpath(*folders)
            place.mkdir(parents=True, exist_ok=True)
            (place / file).write_bytes(content)
        os.mkfifo(root / "pipe")
        targets = sorted(root.rglob("*"))
        for folder, link, number in links:
            (root / folder).mkdir(exist_ok=True)
            if not os.path.lexists(root / folder / link):
                (root / folder / link).symlink_to(targets[number % len(targets)])
        found = find_images([name, name] if spelling == " " else [name + spelling])
        everything = entries_of(root)
        shown = [path for path in everything if not is_hidden(path, root)]
        resolved = {path.resolve() for path in found.paths}
        for path in shown:
            if path.is_file() and path.read_bytes() in IMAGES:
                assert path.resolve() in resolved
        # Every folder is searched once, so each link to one is followed in its place, or counted. What is hidden is met
        # twice if a link leads to it.
        if not any(path.is_dir() and is_hidden(path.resolve(), root.resolve()) for path in shown):
            assert len(found.paths) + sum(found.passed_over.values()) == len(everything)
            hidden = [path for path in everything if path not in shown]
            links_to_folders = [path for path in hidden if path.is_dir() and not is_hidden(path.parent, root)]
            assert found.passed_over.get("hidden file", 0) == len(hidden) - len(links_to_folders)


def test_links_to_folders_that_are_not_followed_are_counted(tree: Path) -> None:
    before = find_images([str(tree)])
    (tree / "to_hidden").symlink_to(tree / ".hidden")
    (tree / "loop").symlink_to(tree)
    (tree / "twice").symlink_to(tree / "sub")
    (tree / ".also").symlink_to(tree / "sub")
    (tree / ".hidden" / "inner").symlink_to(tree / "sub")
    found = find_images([str(tree)])
    assert {path.resolve() for path in before.paths} <= {path.resolve() for path in found.paths}
    assert found.passed_over["link to a folder"] == 4  # `inner` too, which is met by `to_hidden`
    assert found.passed_over["hidden file"] == before.passed_over["hidden file"] + 1


def test_counting_keeps_no_paths(tmp_path: Path) -> None:
    for number in range(2000):
        (tmp_path / f"{number:0100}.txt").write_bytes(b"x")
    (tmp_path / "a.png").touch()
    find_images([str(tmp_path)])
    tracemalloc.start()
    try:
        assert find_images([str(tmp_path)]).passed_over == {"text file": 2000}
        assert tracemalloc.get_traced_memory()[1] < 1_000_000  # names of one folder, which are sorted
    finally:
        tracemalloc.stop()


def test_a_file_that_may_not_be_read_may_be_an_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.png", "b", "c.txt"):
        (tmp_path / name).write_bytes(IMAGES[0])
    errors = {"b": PermissionError(13, "denied"), "c.txt": OSError(5, "input/output error")}

    def refuse(path: str) -> object:
        raise errors[Path(path).name]

    monkeypatch.setattr("cxr_lightning.inference.image_files.open_regular", refuse)
    found = find_images([str(tmp_path)])
    assert [path.name for path in found.paths] == ["a.png", "b"]
    assert found.passed_over == {"unreadable file": 1}
