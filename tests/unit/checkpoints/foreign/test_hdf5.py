"""HDF5 files that are damaged or hostile: one clear error, no crash, and nothing is read from outside the file."""

import random
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from cxr_lightning.checkpoints.foreign.hdf5 import list_contents, read_arrays
from cxr_lightning.checkpoints.foreign.reader import read_foreign_weights

KerasFile = Callable[..., Path]


def external_link(file: h5py.File) -> None:
    file["bn"]["stolen"] = h5py.ExternalLink("/etc/hostname", "/")


def soft_link(file: h5py.File) -> None:
    file["bn"]["other"] = h5py.SoftLink("/conv1")


def hard_link(file: h5py.File) -> None:
    file["bn"]["loop"] = file["/"]


def external_storage(file: h5py.File) -> None:
    del file["bn/bn/gamma:0"]
    file["bn/bn"].create_dataset("gamma:0", shape=(64,), dtype="f4", external=[("/etc/hostname", 0, 256)])


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((64,), "f4")
    layout[:] = h5py.VirtualSource("/etc/other.h5", "x", (64,))
    file.create_virtual_dataset("bn/virtual", layout)


def huge(file: h5py.File) -> None:
    file.create_dataset("bn/huge", shape=(10**13,), dtype="f4", chunks=(1024,))


def objects(file: h5py.File) -> None:
    file.create_dataset("bn/text", data=["a", "b"], dtype=h5py.string_dtype())


def references(file: h5py.File) -> None:
    file.create_dataset("bn/reference", data=file["bn"].ref, dtype=h5py.ref_dtype)


def compound(file: h5py.File) -> None:
    file.create_dataset("bn/pair", data=np.zeros(3, dtype=[("a", "f4"), ("b", "f4")]))


def named_type(file: h5py.File) -> None:
    file["bn/type"] = np.dtype("f4")


def deep(file: h5py.File) -> None:
    group = file
    for _ in range(60):
        group = group.create_group("g")


def bomb(file: h5py.File) -> None:
    for number in range(8):
        file.create_dataset(f"bn/zeros{number}", data=np.zeros(30_000_000, "f4"), chunks=True, compression="gzip")


def many(file: h5py.File) -> None:
    group = file.create_group("many")
    for number in range(51_000):
        h5py.h5g.create(group.id, b"%d" % number)  # twice as fast as create_group


HOSTILE: dict[str, tuple[Callable[[h5py.File], None], str]] = {
    "external link": (external_link, r"'bn/stolen' is a link to something else \(ExternalLink\)"),
    "soft link": (soft_link, r"'bn/other' is a link to something else \(SoftLink\)"),
    "loop": (hard_link, r"'bn/loop' is another name"),
    "external storage": (external_storage, r"'bn/bn/gamma:0' keeps its numbers in another file"),
    "virtual": (virtual, r"'bn/virtual' keeps its numbers in another file"),
    "40 TB": (huge, r"'bn/huge' claims the shape \(10000000000000,\), 40,000,000,000,000 bytes"),
    "text": (objects, r"'bn/text' holds object, not floating-point"),
    "references": (references, r"'bn/reference' holds object, not floating-point"),
    "compound": (compound, r"'bn/pair' holds .*, not floating-point"),
    "named type": (named_type, r"'bn/type' is neither a group nor a dataset"),
    "deep": (deep, "nested deeper than 40"),
    "bomb": (bomb, r"its datasets claim [\d,]+ bytes, and the file has"),
    "many": (many, "more than 50,000 objects"),
}


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name == "many")) for name in HOSTILE])
def test_an_unsafe_hdf5_file_is_refused(name: str, keras_file: KerasFile) -> None:
    change, message = HOSTILE[name]
    path = keras_file("keras2_flat_dense.save_weights.h5")
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(ValueError, match=message):
        read_foreign_weights(path)


def test_a_refusal_of_the_worker_is_passed_on_and_quick(keras_file: KerasFile) -> None:
    path = keras_file("keras2_flat_dense.save_weights.h5")
    with h5py.File(path, "r+") as file:
        huge(file)
    started = time.perf_counter()
    with pytest.raises(ValueError, match=r"HDF5 file with weights in '.*' but 'bn/huge' claims .* Download or save it"):
        read_foreign_weights(path)
    assert time.perf_counter() - started < 20  # two seconds are required; a busy machine is slower


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from Linux's /proc")
def test_a_hostile_file_takes_little_memory(keras_file: KerasFile) -> None:
    path = keras_file("keras2_flat_dense.save_weights.h5")
    with h5py.File(path, "r+") as file:
        bomb(file)
    # VmHWM is the process's own peak; ru_maxrss would be that of the process it was forked from.
    code = (
        "import sys\nfrom pathlib import Path\nfrom cxr_lightning.checkpoints.foreign import hdf5_worker\n"
        "try:\n    hdf5_worker.list_objects(Path(sys.argv[1]))\nexcept hdf5_worker.UnsafeFileError:\n"
        "    print(Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 500_000  # kB


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (b"<!DOCTYPE html><html>404</html>", "it is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", r"Git-LFS pointer. Run `git lfs pull`"),
        (b"PK\x03\x04 not really", "begins neither as HDF5 nor as a .keras archive"),
        (b"\x00\x01\x02", "begins neither as HDF5"),
        (b"\x89HDF\r\n\x1a\n", "it is damaged"),
    ],
)
def test_other_files_named_h5_are_identified(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "pretrained_model.h5").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_foreign_weights(tmp_path / "pretrained_model.h5")


@pytest.mark.usefixtures("in_process")
def test_a_file_cut_off_anywhere_is_refused(keras_file: KerasFile, tmp_path: Path) -> None:
    content = keras_file("keras2_flat_dense.save_weights.h5").read_bytes()
    path = tmp_path / "cut.h5"
    for part in range(100):
        path.write_bytes(content[: len(content) * part // 100])
        with pytest.raises(ValueError, match=r"cut\.h5"):
            read_foreign_weights(path)


def test_arrays_are_float32_in_the_requested_order(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file["a"] = np.arange(6, dtype="f8").reshape(2, 3)
        file.create_dataset("g/b", data=np.ones(5, "f2"), chunks=(2,), compression="gzip")
    contents = list_contents(path)
    assert contents.shapes == {"a": (2, 3), "g/b": (5,)}
    second, first = read_arrays(path, ["g/b", "a"])
    assert first.dtype == second.dtype == np.float32
    assert first.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert second.tolist() == [1] * 5


def fuzz(path: Path, rounds: int, seed: int) -> None:
    """Read the file with random bytes changed, and sometimes a length or an address: refused, or all numbers finite."""
    content, generator = path.read_bytes(), random.Random(seed)
    for _ in range(rounds):
        corrupted = bytearray(content)
        for _ in range(generator.choice([1, 1, 2, 8, 64])):
            place = generator.randrange(min(len(corrupted), generator.choice([4096, 65536, len(corrupted)])))
            corrupted[place] = generator.randrange(256)
        if generator.random() < 0.3:
            place = generator.randrange(0, 8192, 8)
            corrupted[place : place + 8] = struct.pack("<Q", generator.choice([0, 1, 2**31, 2**63, len(content)]))
        path.write_bytes(corrupted)
        try:
            weights = read_foreign_weights(path)
        except ValueError:
            continue
        assert all(torch.isfinite(tensor).all() for tensor in weights.state.values())


@pytest.mark.parametrize("name", ["keras2_flat_dense.save_weights.h5", "keras3_flat_dense.keras"])
def test_random_changes_never_crash_or_give_numbers_that_are_not_finite(name: str, keras_file: KerasFile) -> None:
    fuzz(keras_file(name), rounds=6, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["keras2_flat_dense.save_weights.h5", "keras3_flat_dense.weights.h5"])
def test_many_random_changes_never_crash_or_give_numbers_that_are_not_finite(name: str, keras_file: KerasFile) -> None:
    fuzz(keras_file(name), rounds=200, seed=1)


def test_the_worker_imports_neither_torch_nor_keras() -> None:
    code = (
        "import sys; import cxr_lightning.checkpoints.foreign.hdf5_worker; "
        "print([name for name in ('torch', 'pandas', 'tensorflow', 'keras') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_texts_that_fill_the_memory_are_refused(tmp_path: Path) -> None:
    # 300 texts of one object of eight million letters: 2.4 GB where the file has eight million.
    path = tmp_path / "texts.h5"
    with h5py.File(path, "w") as file:
        file["a"] = np.zeros(3, "f4")
        text = "x" * 8_000_000
        file.attrs.create("layer_names", [text] * 300, dtype=h5py.string_dtype())
    with pytest.raises(ValueError, match=r"texts\.h5"):
        list_contents(path)


def test_no_module_is_imported_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "h5py.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["a"] = np.zeros(3, "f4")
    monkeypatch.chdir(tmp_path)
    assert list_contents(Path("x.h5")).shapes == {"a": (3,)}
    assert not (tmp_path / "ran").exists()
