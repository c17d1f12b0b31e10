"""PyTorch and safetensors files of other projects, with each of their conventions for names."""

import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torchvision.models import DenseNet

from cxr_lightning.checkpoints.foreign.reader import read_foreign_weights

Names = Callable[[str], str]


def network(seed: int = 0) -> DenseNet:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return DenseNet(32, (1, 1, 1, 1), 64, num_classes=3)


def names_of_2017(name: str) -> str:
    """Name of a tensor in 2017, as CheXNet's public reimplementations save it."""
    name = re.sub(r"(denselayer\d+\.(?:norm|conv))([12])\.", r"\1.\2.", name)
    return "module.densenet121." + name.replace("classifier.", "classifier.0.")


STYLES: dict[str, Names] = {
    "plain": str,
    "chexnet": names_of_2017,
    "data parallel": lambda name: f"module.{name}",
    "lightning": lambda name: f"model.{name}",
}


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("wrapped", [True, False])
@pytest.mark.parametrize("kind", ["pth.tar", "pt", "safetensors"])
def test_every_style_gives_the_same_tensors(style: str, wrapped: bool, kind: str, tmp_path: Path) -> None:
    state: dict[str, Tensor] = network().state_dict()
    renamed = {STYLES[style](name): value for name, value in state.items() if "num_batches" not in name}
    path = tmp_path / f"model.{kind}"
    if kind == "safetensors":
        save_file(renamed, path)
    else:
        torch.save({"state_dict": renamed, "epoch": 3, "optimizer": {"lr": 0.1}} if wrapped else renamed, path)
    weights = read_foreign_weights(path)
    assert weights.num_outputs == 3
    assert weights.blocks == (1, 1, 1, 1)
    assert weights.batch_norm_epsilon == 1e-5
    assert weights.final_relu
    assert weights.labels is None
    assert set(weights.state) == {name for name in state if "num_batches" not in name}
    assert all(torch.equal(weights.state[name], state[name]) for name in weights.state)


def test_labels_in_a_file_are_used(tmp_path: Path) -> None:
    state = network().state_dict()
    torch.save({"state_dict": state, "labels": ["A", "B", "C"]}, tmp_path / "x.pth")
    assert read_foreign_weights(tmp_path / "x.pth").labels == ("A", "B", "C")
    save_file(state, tmp_path / "x.safetensors", metadata={"class_names": '["A", "B", "C"]', "note": "x"})
    assert read_foreign_weights(tmp_path / "x.safetensors").labels == ("A", "B", "C")


class HostilePickle:
    """An object whose pickle would run code."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path(self.path),))  # type: ignore[return-value]  # harmless stand-in


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_pickle_does_not_run(tmp_path: Path, zipped: bool) -> None:
    content = {"state_dict": network().state_dict(), "x": HostilePickle(str(tmp_path / "ran"))}
    torch.save(content, tmp_path / "evil.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match=r"evil\.pth' but it cannot be loaded safely"):
        read_foreign_weights(tmp_path / "evil.pth")
    assert not (tmp_path / "ran").exists()


def test_damaged_files_and_wrong_numbers_are_refused(tmp_path: Path) -> None:
    state = network().state_dict()
    save_file(state, tmp_path / "x.safetensors")
    content = (tmp_path / "x.safetensors").read_bytes()
    for size in (4, 9, 100, len(content) // 2, len(content) - 1):
        (tmp_path / "cut.safetensors").write_bytes(content[:size])
        with pytest.raises(ValueError, match=r"safetensors file in '.*cut\.safetensors' but it is damaged"):
            read_foreign_weights(tmp_path / "cut.safetensors")
    state["features.norm5.bias"][0] = float("nan")
    torch.save(state, tmp_path / "x.pth")
    with pytest.raises(ValueError, match=r"x\.pth' but 1 tensors hold NaN.*: features\.norm5\.bias"):
        read_foreign_weights(tmp_path / "x.pth")


@pytest.mark.parametrize("name", ["https://host/x.h5", "s3://bucket/x.pth"])
def test_a_url_is_refused_and_a_missing_file_named(name: str) -> None:
    with pytest.raises(ValueError, match=r"URL .* check its sha256"):
        read_foreign_weights(name)
    with pytest.raises(FileNotFoundError, match=r"'absent\.h5'"):
        read_foreign_weights("absent.h5")


def test_tensors_that_are_no_weights_are_refused(tmp_path: Path) -> None:
    state = network().state_dict()
    kernel = state["features.conv0.weight"]
    cases: dict[str, tuple[object, str]] = {
        "claims": (torch.zeros(1).expand(10**9), "claims 4,000,000,000 bytes"),
        "integer": (kernel.to(torch.int8), "is torch.int8"),
        "complex": (kernel.to(torch.complex64), "is torch.complex64"),
        "sparse": (kernel.to_sparse(), "it holds a sparse tensor"),
        "meta": (kernel.to("meta"), "it holds a tensor without numbers"),
    }
    for tensor, message in cases.values():
        torch.save(state | {"features.conv0.weight": tensor}, tmp_path / "x.pth")
        with pytest.raises(ValueError, match=message):
            read_foreign_weights(tmp_path / "x.pth")


def test_one_tensor_under_two_names_is_refused_and_other_tensors_are_kept(tmp_path: Path) -> None:
    state = network().state_dict()
    torch.save(state | {"classifier.0.weight": state["classifier.weight"]}, tmp_path / "x.pth")
    with pytest.raises(ValueError, match=r"'classifier\.weight' is there under two names"):
        read_foreign_weights(tmp_path / "x.pth")
    torch.save(
        {f"network.{name}": value for name, value in state.items()} | {"aux.weight": torch.ones(1)}, tmp_path / "x.pth"
    )
    assert "aux.weight" in read_foreign_weights(tmp_path / "x.pth").state


def test_endless_names_and_archives_that_unpack_to_more_than_their_size_are_refused(tmp_path: Path) -> None:
    torch.save({"a." * 200_000 + "x": torch.ones(1)}, tmp_path / "x.pth")
    with pytest.raises(ValueError, match="Expected the weights of a network"):
        read_foreign_weights(tmp_path / "x.pth")
    torch.save({"weight": torch.zeros(20_000_000)}, tmp_path / "x.pth")
    with zipfile.ZipFile(tmp_path / "x.pth") as archive, zipfile.ZipFile(tmp_path / "y.pth", "w", 8) as bomb:
        for name in archive.namelist():
            bomb.writestr(name, archive.read(name))
    with pytest.raises(ValueError, match=r"y\.pth' but it cannot be loaded safely: it unpacks to"):
        read_foreign_weights(tmp_path / "y.pth")
    save_file(network().state_dict(), tmp_path / "x.safetensors", metadata={"labels": "[" * 100_000})
    assert read_foreign_weights(tmp_path / "x.safetensors").labels is None
