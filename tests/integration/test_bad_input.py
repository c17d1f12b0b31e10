"""Bad input, typed as a user would: one line with the file, what was found and the remedy; nothing half-written."""

import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hydra.core.global_hydra import GlobalHydra
from PIL import Image

from cxr_lightning.app.train import run_train
from tests.conftest import assert_one_error_line
from tests.slow_cases import one_in

LABELS = "Data_Entry_2017_v2020.csv"
BOXES = "BBox_List_2017.csv"
FIRST = "00000001_000.png"
Spoil = Callable[[Path], object]


def replace_text(name: str, old: str, new: str) -> Spoil:
    def spoil(root: Path) -> None:
        path = root / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return spoil


def write(name: str, content: bytes) -> Spoil:
    return lambda root: (root / name).write_bytes(content)


def cut(name: str) -> Spoil:
    return lambda root: (root / name).write_bytes((root / name).read_bytes()[:60])


def remove(*names: str) -> Spoil:
    def spoil(root: Path) -> None:
        for name in names:
            (root / name).unlink()

    return spoil


def nothing(root: Path) -> None:
    """Leaves the files as they are."""


def share_a_patient(root: Path) -> None:
    """The second image of the last test patient goes to the training list."""
    names = (root / "test_list.txt").read_text().split()
    (root / "test_list.txt").write_text("\n".join(names[:-1]) + "\n")
    (root / "train_val_list.txt").write_text((root / "train_val_list.txt").read_text() + names[-1] + "\n")


def header_only(width: int, height: int) -> bytes:
    """A PNG that claims a size, with nothing in it."""
    fields = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", fields), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*parts) for parts in chunks)


def text_bomb() -> bytes:
    """A small PNG whose comment unpacks to 200 million letters."""
    fields = struct.pack(">IIBBBBB", 32, 32, 8, 0, 0, 0, 0)
    comment = b"note\0\0" + zlib.compress(b"a" * 200_000_000, 9)
    pixels = zlib.compress(b"".join(b"\0" + bytes(32) for _ in range(32)))
    chunks = [(b"IHDR", fields), (b"zTXt", comment), (b"IDAT", pixels), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*parts) for parts in chunks)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def append(name: str, text: str) -> Spoil:
    def spoil(root: Path) -> None:
        with (root / name).open("a") as file:
            file.write(text)

    return spoil


def make_folder(root: Path) -> None:
    (root / LABELS).unlink()
    (root / LABELS).mkdir()


class Runs:
    """What pickle would run when it is loaded."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return Path.touch, (Path("ran"),)  # type: ignore[return-value]


def checkpoint(content: object) -> Spoil:
    """``x.ckpt`` in the data set's folder."""
    return lambda root: torch.save(content, root / "x.ckpt")


def zip_bomb(root: Path) -> None:
    with zipfile.ZipFile(root / "x.ckpt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(50_000_000))


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 400000\n"
STUB = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        "

CASES: dict[str, tuple[Spoil, list[str], list[str]]] = {
    "missing root": (nothing, ["data.root=absent"], ["'absent'", "Set `data.root`"]),
    "missing label file": (remove(LABELS), [], [LABELS, "it holds", "Set `data.root`"]),
    "missing column": (replace_text(LABELS, "Patient ID", "Person"), [], [LABELS, "'Patient ID'", "Person"]),
    "unknown finding": (replace_text(LABELS, "Effusion", "Efusion"), [], [LABELS, "Efusion", "line "]),
    "images not on disk": (
        remove(f"images/{FIRST}", "images/00000001_001.png"),
        [],
        ["2 of 32 images", FIRST, "data.on_missing=skip"],
    ),
    "truncated PNG": (cut(f"images/{FIRST}"), [], [FIRST, "cut off", "Download it again"]),
    "Git-LFS pointer": (write(f"images/{FIRST}", LFS), [], [FIRST, "Git-LFS pointer", "git lfs pull"]),
    "Mac stub": (write(f"images/{FIRST}", STUB), [], [FIRST, "macOS '._' stub", "Delete"]),
    "empty image": (write(f"images/{FIRST}", b""), [], [FIRST, "empty"]),
    "Git-LFS pointer as table": (write(LABELS, LFS), [], [LABELS, "Git-LFS pointer"]),
    "path in Image Index": (replace_text(LABELS, FIRST, f"../{FIRST}"), [], [LABELS, f"'../{FIRST}'", "line 2"]),
    "absolute path in Image Index": (replace_text(LABELS, FIRST, f"/etc/{FIRST}"), [], [LABELS, "line 2"]),
    "doubled image": (replace_text(LABELS, "00000001_001.png", FIRST), [], [LABELS, FIRST, "Keep one"]),
    "empty split": (write("test_list.txt", b"\n"), [], ["test_list.txt", "empty"]),
    "no split lists": (remove("train_val_list.txt", "test_list.txt"), [], ["train_val_list.txt", "data.split=patient"]),
    "leaked patient": (share_a_patient, [], ["1 patients", "16", "data.drop_leaked=true"]),
    "bad grammar": (nothing, ["data.root=a=b"], ["""'data.root="a=b"'"""]),
    "box file: words": (replace_text(BOXES, "256.0", "left"), [], [BOXES, "four numbers", "line 2"]),
    "box file: outside": (replace_text(BOXES, "256.0", "1000.0"), [], [BOXES, "1024 x 1024", "line 2"]),
    "box file: no width": (replace_text(BOXES, "128.0", "0"), [], [BOXES, "1024 x 1024"]),
    "box file: unknown finding": (replace_text(BOXES, "Infiltrate", "Shadow"), [], [BOXES, "Shadow"]),
    "box file: cut": (replace_text(BOXES, ",128.0,64.0", ""), [], [BOXES, "line 2"]),
    "list: an image twice": (append("test_list.txt", "00000016_001.png\n"), [], ["test_list.txt", "once"]),
    "list: in both": (append("test_list.txt", "00000001_000.png\n"), [], ["share", "00000001_000.png"]),
    "list: web page": (
        write("test_list.txt", b"<html>\n"),
        [],
        ["test_list.txt", "web page. Download the file itself"],
    ),
    "list: binary": (write("test_list.txt", bytes(range(256))), [], ["test_list.txt", "UTF-8"]),
    "table: another encoding": (write(LABELS, b"Image Index,\xff\xfe\n"), [], [LABELS, "UTF-8"]),
    "table: empty": (write(LABELS, b""), [], [LABELS, "first line"]),
    "table: a field too many": (replace_text(LABELS, "2500", "2500,7"), [], [LABELS, "line 2"]),
    "table: open quote": (append(LABELS, '"00000099_000.png,Mass'), [], [LABELS]),
    "table: no finding": (replace_text(LABELS, "Effusion", ""), [], [LABELS, "line "]),
    "table: a folder": (make_folder, [], [LABELS]),
    "image: a hundred gigapixels": (write(f"images/{FIRST}", header_only(10**5, 10**6)), [], [FIRST, "too large"]),
    "image: just too large": (write(f"images/{FIRST}", header_only(9000, 9000)), [], [FIRST, "9000x9000 pixels"]),
    "image: nothing in it": (write(f"images/{FIRST}", header_only(32, 32)), [], [FIRST, "cannot be decoded"]),
    "image: comment that unpacks": (write(f"images/{FIRST}", text_bomb()), [], [FIRST, "cannot be decoded"]),
    "image: web page": (write(f"images/{FIRST}", b"<!DOCTYPE html><p>Sign in"), [], [FIRST, "web page"]),
    "image: text": (write(f"images/{FIRST}", b"not an image at all, only text"), [], [FIRST, "no image format"]),
    "image: PostScript": (write(f"images/{FIRST}", b"%!PS-Adobe-3.0 EPSF-3.0\n"), [], [FIRST, "no image format"]),
    "checkpoint: text": (write("x.ckpt", b"hello"), ["ckpt_path={root}/x.ckpt"], ["x.ckpt", "cannot be loaded"]),
    "checkpoint: empty": (write("x.ckpt", b""), ["ckpt_path={root}/x.ckpt"], ["x.ckpt", "cannot be loaded"]),
    "checkpoint: code": (checkpoint({"a": Runs()}), ["ckpt_path={root}/x.ckpt"], ["x.ckpt", "safely"]),
    "checkpoint: another's": (checkpoint({"state_dict": {}}), ["ckpt_path={root}/x.ckpt"], ["another file"]),
    "checkpoint: a list": (checkpoint([1, 2]), ["ckpt_path={root}/x.ckpt"], ["x.ckpt", "another file"]),
    "checkpoint: hollow": (checkpoint({"cxr_lightning": {}}), ["ckpt_path={root}/x.ckpt"], ["x.ckpt"]),
    "checkpoint: zip bomb": (zip_bomb, ["ckpt_path={root}/x.ckpt"], ["x.ckpt", "unpacks to 50,000,000"]),
    "weights: code": (checkpoint({"a": Runs()}), ["model.weights={root}/x.ckpt"], ["x.ckpt", "safely"]),
}


@pytest.mark.parametrize("name", one_in(4, CASES))
def test_bad_input_ends_in_one_helpful_line(
    name: str,
    nih_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spoil, overrides, words = CASES[name]
    spoil(nih_folder)
    root = [] if any(override.startswith("data.root") for override in overrides) else [f"data.root={nih_folder}"]
    settings = ["data=nih", "model=densenet_micro", "data.num_workers=0", "data.image_size=32", "logger=none"]
    GlobalHydra.instance().clear()
    monkeypatch.chdir(tmp_path)
    overrides = [override.format(root=nih_folder) for override in overrides]
    monkeypatch.setattr(sys, "argv", ["train.py", *settings, *root, *overrides])
    with pytest.raises(SystemExit) as exit_:
        run_train()
    output = capsys.readouterr()
    assert exit_.value.code not in (0, None)
    assert_one_error_line(output.out, output.err, words)
    left = {path.name for path in tmp_path.rglob("*") if path.is_file() and nih_folder not in path.parents}
    cache = {".lock", "index.jsonl", "pixels.u8", "rejected.csv", "quality_flags.csv"}  # name the broken images
    assert left - cache <= {"train.log", "config.yaml", "hydra.yaml", "overrides.yaml"}


@pytest.mark.parametrize("cache", ["false", "true"])
def test_a_broken_image_in_another_process_ends_in_one_line(
    cache: str, nih_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Whole at both ends, damaged between: only decoding finds it.
    for path in (nih_folder / "images").iterdir():
        Image.effect_noise((64, 64), 50).save(path)
        content = bytearray(path.read_bytes())
        content[200:400] = bytes(200)
        path.write_bytes(content)
    GlobalHydra.instance().clear()
    monkeypatch.chdir(tmp_path)
    settings = [
        "data=nih",
        f"data.root={nih_folder}",
        "model=densenet_micro",
        "data.num_workers=1",
        "data.image_size=32",
        f"data.cache={cache}",
    ]
    monkeypatch.setattr(sys, "argv", ["train.py", *settings, "logger=none", "callbacks.progress_bar=null"])
    with pytest.raises(SystemExit):
        run_train()
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert "cannot be decoded" in lines[0]
    assert str(nih_folder) in lines[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "program"),
    [
        ("truncated PNG", "train.py"),
        ("checkpoint: code", "train.py"),
        ("missing column", "train.py"),
        ("absent", "evaluate.py"),
        ("absent", "cxr"),
    ],
)
def test_commands_end_in_one_line_too(name: str, program: str, nih_folder: Path, tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    if program == "train.py":
        spoil, overrides, words = CASES[name]
        spoil(nih_folder)
        given = [text.format(root=nih_folder) for text in overrides]
        command = [
            sys.executable,
            str(root / program),
            "data=nih",
            "model=densenet_micro",
            f"data.root={nih_folder}",
            *given,
        ]
    elif program == "evaluate.py":
        command, words = (
            [sys.executable, str(root / program), f"ckpt={tmp_path}/absent.ckpt"],
            ["absent.ckpt", "no such file"],
        )
    else:
        command, words = [str(Path(sys.executable).with_name("cxr")), "prepare", "absent"], ["absent", "data.root"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert_one_error_line(done.stdout, done.stderr, words)
    assert not (tmp_path / "ran").exists()
