"""The pickle of a PyTorch file is read before torch reads it: it fills no memory, takes no minutes, names no code."""

import io
import json
import os
import pickle
import pickletools
import struct
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from cxr_lightning.utils.pickle_check import _Reader, handle_pickle_task
from cxr_lightning.utils.torch_io import load_safely


def call(module: str, name: str, *arguments: bytes) -> bytes:
    """Opcodes that call a function."""
    return f"c{module}\n{name}\n".encode() + b"(" + b"".join(arguments) + b"tR"


def text(value: str) -> bytes:
    content = value.encode()
    return b"X" + len(content).to_bytes(4, "little") + content


def number(value: int) -> bytes:
    content = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(content)]) + content


def nested_hex() -> bytes:
    value = text("v" * 1000)
    for _ in range(22):
        value = call("_codecs", "encode", value, text("hex"))
    return value


def colliding_keys() -> bytes:
    return b"}(" + b"".join(number((2**61 - 1) * key) + b"N" for key in range(60_000)) + b"u"


def with_value(path: Path, value: bytes) -> Path:
    """A PyTorch file whose content has one more key."""
    buffer = io.BytesIO()
    torch.save({"weight": torch.ones(2)}, buffer)
    with zipfile.ZipFile(buffer) as source, zipfile.ZipFile(path, "w") as target:
        for member in source.infolist():
            content = source.read(member)
            if member.filename.endswith("data.pkl"):
                content = content[:-1] + text("more") + value + b"s."
                pickletools.dis(content, io.StringIO())
            target.writestr(member.filename, content)
    return path


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (nested_hex, "it holds bytes in the encoding 'hex'"),
        (lambda: call("builtins", "bytearray", number(3 * 10**9)), "it holds an array of bytes without the bytes"),
        (lambda: call("os", "system", text("true")), "it names 'os.system'"),
        (lambda: call("torch.hub", "load", text("x")), "it names 'torch.hub.load'"),
        (lambda: call("torch", "load", text("x")), "it names 'torch.load'"),
        pytest.param(colliding_keys, "it takes more than 10 s", marks=pytest.mark.slow),
    ],
    ids=["encoded often", "bytearray", "os", "hub", "load", "colliding keys"],
)
def test_what_takes_memory_or_time_or_names_code_is_refused(
    value: Callable[[], bytes], reason: str, tmp_path: Path
) -> None:
    path = with_value(tmp_path / "x.pt", value())
    with pytest.raises(ValueError, match="cannot be loaded safely") as error:
        load_safely(str(path))
    assert reason in str(error.value)


def refusal(path: Path) -> str:
    answer: str = json.loads(handle_pickle_task(json.dumps({"file": str(path)}).encode()))["refused"]
    return answer


@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_of_every_kind_and_plain_values_are_read(zipped: bool, tmp_path: Path) -> None:
    dtypes = (torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool)
    content = {
        "tensors": {str(dtype): torch.zeros(3, dtype=dtype) for dtype in dtypes},
        "milestones": Counter({3: 1}),
        "state": OrderedDict(weight=torch.nn.Parameter(torch.ones(2, 2))),
        "more": [1, 2.5, "x", None, True, (1, 2), {3}, torch.Size([1, 2]), torch.float32, torch.device("cpu")],
    }
    torch.save(content, tmp_path / "x.pt", _use_new_zipfile_serialization=zipped)
    assert refusal(tmp_path / "x.pt") == ""
    assert load_safely(str(tmp_path / "x.pt"))["more"] == content["more"]


def test_two_pickles_in_a_file_are_refused(tmp_path: Path) -> None:
    path = with_value(tmp_path / "x.pt", b"N")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("other/data.pkl", b"N.")
    assert refusal(path) == "it holds 2 pickles, or a name twice"


def legacy(value: bytes) -> bytes:
    """The start of a file in the format of before 2020, whose fourth pickle is the content."""
    before: tuple[object, ...] = (0x1950A86A20F9469CFC6C, 1001, {})
    return b"".join(pickle.dumps(one, 2) for one in before) + b"\x80\x02" + value + b"."


def archive(*members: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        for name, content in members:
            target.writestr(name, content)
    return buffer.getvalue()


HARMLESS, BAD = b"\x80\x02N.", b"\x80\x02" + call("builtins", "bytearray", number(3 * 10**9)) + b"."


def with_two_directories() -> bytes:
    """An archive whose end gives the place of a second list of files, in the comment; zipfile reads the first one."""
    parts = []
    for pickled in (HARMLESS, BAD):
        content = archive(("a/data.pkl", pickled))
        end = content.rindex(b"PK\5\6")
        length, place = struct.unpack("<2L", content[end + 12 : end + 20])
        parts.append((content[:place], content[place : place + length]))
    (harmless, first), (bad, second) = parts
    place = len(harmless) + len(bad) + len(first) + 22
    second = second[:42] + struct.pack("<L", len(harmless)) + second[46:]
    first = first[:42] + struct.pack("<L", len(first) + 22) + first[46:]
    end_record = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, len(first), place, len(second))
    return harmless + bad + first + end_record + second


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (
            legacy(call("builtins", "bytearray", number(3 * 10**9))) + archive(("a/data.pkl", HARMLESS)),
            "array of bytes",
        ),
        (archive(("a/DATA.pkl", BAD), ("b/data.pkl", HARMLESS)), "it holds 2 pickles"),
        (archive(("a/DATA.PKL", BAD)), "that torch would not have written"),
        (archive(("a/version", b"3"), ("b/data.pkl", HARMLESS)), "that torch would not have written"),
        (archive(("a/data.pkl", BAD)) + archive(("a/data.pkl", HARMLESS)), "that torch would not have written"),
        (archive(("a/data.pkl", HARMLESS)) + b"more", "that torch would not have written"),
        (with_two_directories(), "that torch would not have written"),
        (archive(*[(f"a/{index}", b"") for index in range(100_001)], ("a/data.pkl", HARMLESS)), "more than 100,000"),
    ],
    ids=["old before new", "case", "upper case", "another folder", "two archives", "more", "two lists", "many files"],
)
def test_the_pickle_that_torch_reads_is_the_one_that_is_checked(content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(content)
    assert reason in refusal(tmp_path / "x.pt")


def test_sizes_as_keys_are_as_long_to_compare_as_tuples() -> None:
    read = _Reader(io.BytesIO(pickle.dumps({torch.Size([1, 2]): 3}, 2))).load()
    assert {type(key) for key in read} == {tuple}


def test_what_is_no_file_is_told_as_that(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_safely(str(tmp_path / "absent.pt"))
    with pytest.raises(OSError, match="it is no regular file"):
        load_safely(os.devnull)


def test_a_pickle_that_is_cut_off_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(b"\x80\x02}q\x00")
    assert refusal(tmp_path / "x.pt") == "it is damaged, or no PyTorch file"


def altered_legacy(path: Path, change: Callable[[bytes], bytes]) -> Path:
    """A file in the format of before 2020 with other bytes."""
    torch.save({"weight": torch.ones(777)}, path, _use_new_zipfile_serialization=False)
    path.write_bytes(change(path.read_bytes()))
    return path


def without_list(content: bytes) -> bytes:
    """Without the list of the storages that follow, so that torch fills none."""
    return content[: content.rindex(b"\x80\x02]")] + b"\x80\x02]."


def with_length(length: int) -> Callable[[bytes], bytes]:
    return lambda content: content.replace(b"M\x09\x03", number(length))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (without_list, "it does not hold the numbers that it describes"),
        (lambda content: without_list(with_length(10**9)(content)), "it does not hold the numbers"),
        (with_length(10**9), "it describes more numbers than it holds"),
        (lambda content: content.replace(b"\x80\x02]", b"\x80\x02N.\x80\x02]"), "it does not hold the numbers"),
    ],
    ids=["no list", "no list and long", "long", "no list but nothing"],
)
def test_a_file_holds_the_numbers_of_its_tensors(change: Callable[[bytes], bytes], reason: str, tmp_path: Path) -> None:
    """torch would give a tensor whatever is in the memory."""
    assert refusal(altered_legacy(tmp_path / "x.pt", lambda content: content)) == ""
    assert reason in refusal(altered_legacy(tmp_path / "y.pt", change))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (lambda: call("torch.storage", "UntypedStorage", number(4 * 10**9)), "it makes numbers without holding them"),
        (lambda: call("torch.storage", "TypedStorage", number(10**9)), "it makes numbers without holding them"),
        (lambda: call("torch", "FloatStorage", number(10**9)), "it makes numbers without holding them"),
        (lambda: b"(K\x01tQ", "it refers to numbers in another way than torch"),
        (lambda: b"](" + b"ctorch\ndevice\n)R" * 100_001 + b"e", "it describes more than 100,000 objects"),
        (lambda: text("x" * (8 << 20)), "its pickle has more than 8,388,608 bytes"),
    ],
    ids=["untyped", "typed", "float", "reference", "many", "long"],
)
def test_what_torch_would_take_long_for_is_refused(value: Callable[[], bytes], reason: str, tmp_path: Path) -> None:
    assert reason in refusal(with_value(tmp_path / "x.pt", value()))


@pytest.mark.parametrize(
    ("tensor", "reason"),
    [
        (torch.ones(2, 2).to_sparse(), "a sparse tensor"),
        (torch.empty(2, device="meta"), "a tensor without numbers"),
    ],
    ids=["sparse", "meta"],
)
def test_other_tensors_are_named(tensor: torch.Tensor, reason: str, tmp_path: Path) -> None:
    torch.save({"weight": tensor}, tmp_path / "x.pt")
    assert refusal(tmp_path / "x.pt") == f"it holds {reason}"


def test_a_legacy_pickle_is_bounded_too(tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(legacy(text("x" * (8 << 20))))
    assert refusal(tmp_path / "x.pt") == "its pickles have more than 8,388,608 bytes"


def test_bytes_and_complex_numbers_are_plain_values(tmp_path: Path) -> None:
    content = {"bytes": b"\xff\0a", "changeable": bytearray(b"\xfe"), "empty": bytearray(), "complex": 1 + 2j}
    torch.save(content, tmp_path / "x.pt")
    assert load_safely(str(tmp_path / "x.pt")) == content


@pytest.mark.parametrize("make", [torch.ones, lambda size: torch.nn.Parameter(torch.ones(size))])
def test_a_tensor_with_attributes_is_refused_as_that(make: Callable[[int], torch.Tensor], tmp_path: Path) -> None:
    """They would take the place of its methods."""
    tensor = make(2)
    tensor.numel = 5  # type: ignore[assignment, method-assign]
    torch.save({"weight": tensor}, tmp_path / "x.pt")
    with pytest.raises(ValueError, match=r"it holds a (tensor|parameter) with attributes"):
        load_safely(str(tmp_path / "x.pt"))
