"""Weights come from files that fit, safely, or not at all. Nothing is downloaded here."""

import logging
import re
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from torch import Tensor, nn

from cxr_lightning.checkpoints.state_dict import read_state
from cxr_lightning.models.backbones.registry import build_backbone
from cxr_lightning.models.weights import load_initial_weights

MICRO = "densenet_micro"


def micro(num_labels: int = 3, seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build_backbone(MICRO, num_labels)


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    torch.save(micro(seed=1).state_dict(), tmp_path / "weights.pth")
    return tmp_path / "weights.pth"


def test_no_weights_leave_the_network_as_it_is() -> None:
    network = micro()
    load_initial_weights(network, MICRO, None)
    assert same(network.state_dict(), micro().state_dict())


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".ckpt"])
@pytest.mark.parametrize("layout", ["plain", "state_dict", "ours"])
def test_a_state_dict_is_taken_over_whole(tmp_path: Path, suffix: str, layout: str) -> None:
    state = micro(seed=1).state_dict()
    ours = {f"network.{name}": value for name, value in state.items()}
    content = {
        "plain": state,
        "state_dict": {"state_dict": state, "epoch": 3},
        "ours": {
            "cxr_lightning": {},
            "state_dict": {**ours, "loss.positive_weights": torch.ones(3), "preprocess.mean": torch.ones(1)},
        },
    }[layout]
    torch.save(content, tmp_path / f"weights{suffix}")
    network = micro()
    load_initial_weights(network, MICRO, read_state(str(tmp_path / f"weights{suffix}")))
    assert same(network.state_dict(), state)


def test_another_number_of_labels_gets_a_new_head_and_says_so(saved: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    network = micro(5)
    head = network.get_submodule("classifier").state_dict()
    load_initial_weights(network, MICRO, read_state(str(saved)))
    assert same(network.get_submodule("classifier").state_dict(), head)
    assert same(network.get_submodule("features").state_dict(), micro(seed=1).get_submodule("features").state_dict())
    assert "the last layer is new" in caplog.text
    load_initial_weights(micro(3), MICRO, read_state(str(saved)))
    assert "the last layer is theirs" in caplog.text


def test_weights_without_a_head_get_a_new_one(tmp_path: Path) -> None:
    state = {name: value for name, value in micro(seed=1).state_dict().items() if not name.startswith("classifier")}
    torch.save(state, tmp_path / "weights.pth")
    load_initial_weights(micro(), MICRO, read_state(str(tmp_path / "weights.pth")))


@pytest.mark.parametrize("change", ["missing", "extra", "shape", "type"])
def test_weights_that_do_not_fit_are_refused_with_names(tmp_path: Path, change: str) -> None:
    state = dict(micro(seed=1).state_dict())
    key = "features.conv0.weight"
    tensor = state.pop(key) if change != "extra" else torch.ones(1)
    if change == "extra":
        state["stranger"] = tensor
    if change == "shape":
        state[key] = tensor[:4]
    if change == "type":
        state[key] = tensor.long()
    torch.save(state, tmp_path / "weights.pth")
    message = {
        "missing": rf"1 tensors are missing \['{key}'\], 0 are not its own \[\] and 0 have",
        "extra": r"0 tensors are missing \[\], 1 are not its own \['stranger'\] and 0 have",
        "shape": rf"0 are not its own \[\] and 1 have another shape or type \['{key}'\]",
        "type": rf"0 are not its own \[\] and 1 have another shape or type \['{key}'\]",
    }[change]
    network = micro()
    with pytest.raises(ValueError, match=message):
        load_initial_weights(network, MICRO, read_state(str(tmp_path / "weights.pth")))
    assert same(network.state_dict(), micro().state_dict())  # nothing was half loaded


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "weights.pth")
    with pytest.raises(ValueError, match=r"Set `model\.backbone` to the network that the weights are of"):
        load_initial_weights(micro(), MICRO, read_state(str(tmp_path / "weights.pth")))


def test_a_path_is_refused_with_a_word_on_how_to_read_it() -> None:
    with pytest.raises(
        ValueError, match=r"None, 'imagenet' or tensors .* got 'weights\.pth'\. Read a file with .*read_state"
    ):
        load_initial_weights(micro(), MICRO, "weights.pth")


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty torch hub folder and a network that cannot be reached."""

    def fail(*_: object, **__: object) -> None:
        raise URLError("Temporary failure in name resolution")

    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    return tmp_path / "checkpoints"


def test_imagenet_offline_says_what_to_do(offline: Path) -> None:
    with pytest.raises(ConnectionError, match="the download failed") as caught:
        load_initial_weights(micro(), "densenet121", "imagenet")
    message = str(caught.value)
    assert (
        "ImageNet weights of densenet121 from https://download.pytorch.org/models/densenet121-a639ec97.pth" in message
    )
    assert "Temporary failure in name resolution" in message
    assert f"Put that file into '{offline}' (TORCH_HOME" in message
    assert "'model.weights=null'" in message


def unknown_user(_: int) -> None:
    raise KeyError


def test_imagenet_weights_without_a_home_folder_make_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("HOME", "TORCH_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown_user)
    with pytest.raises(FileNotFoundError, match="Set HOME or TORCH_HOME"):
        load_initial_weights(micro(), "densenet121", "imagenet")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("through", ["imagenet", "file"])
def test_the_published_file_is_used_from_the_hub_folder_or_by_its_path(offline: Path, through: str) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        source = build_backbone("densenet121", 1000)
    # The published file is of 2017: `denselayer1.norm.1`, not `denselayer1.norm1`, and no counts of batches.
    old = {
        re.sub(r"(denselayer\d+\.(?:norm|conv))([12])\.", r"\1.\2.", name): value
        for name, value in source.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    path = offline / "densenet121-a639ec97.pth"
    offline.mkdir(exist_ok=True)
    torch.save(old, path)
    network = build_backbone("densenet121", 3)
    load_initial_weights(network, "densenet121", "imagenet" if through == "imagenet" else read_state(str(path)))
    features = network.get_submodule("features").state_dict()
    assert same(features, source.get_submodule("features").state_dict())


def test_a_damaged_file_in_the_hub_folder_says_what_to_do(offline: Path) -> None:
    offline.mkdir(exist_ok=True)
    (offline / "densenet121-a639ec97.pth").write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(ConnectionError, match="Put that file into"):
        load_initial_weights(micro(), "densenet121", "imagenet")


def test_our_own_network_has_no_imagenet_weights(offline: Path) -> None:
    with pytest.raises(ValueError, match=r"ImageNet weights but got 'densenet_micro'\. Set 'model\.weights=null'"):
        load_initial_weights(micro(), MICRO, "imagenet")
