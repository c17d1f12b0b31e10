"""PyTorch files give a network's tensors, safely, or an error."""

from pathlib import Path

import pytest
import torch

from cxr_lightning.checkpoints.state_dict import read_state


class Exploit:
    """What an attacker puts into a pickle: a call at loading."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path(self.path),))  # type: ignore[return-value]  # harmless stand-in


def test_a_file_with_code_in_it_is_refused_and_its_code_does_not_run(tmp_path: Path) -> None:
    torch.save({"weight": Exploit(tmp_path / "ran")}, tmp_path / "evil.pth")
    with pytest.raises(ValueError, match=r"tensors in '.*evil\.pth' but it cannot be loaded safely"):
        read_state(str(tmp_path / "evil.pth"))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("url", ["https://example.org/w.pth", "s3://bucket/w.ckpt", "file:///w.pth"])
def test_a_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=f"but got the URL '{url}'. Download it"):
        read_state(url)


def test_a_missing_file_or_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"null, imagenet or a weights file .* but got 'absent\.pth': there is no such file"
    ):
        read_state("absent.pth")
    with pytest.raises(FileNotFoundError, match="it is a folder"):
        read_state(str(tmp_path))
    (tmp_path / "keras.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    with pytest.raises(ValueError, match=r"\.ckpt, \.pt or \.pth file as `model\.weights` but got '.*keras\.h5'"):
        read_state(str(tmp_path / "keras.h5"))


@pytest.mark.parametrize("kept", [0, 1, 10, 200, 0.3, 0.9])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_damaged_file_is_refused(tmp_path: Path, kept: float, zipped: bool) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"weight": torch.ones(300)}, path, _use_new_zipfile_serialization=zipped)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content)) if isinstance(kept, float) else kept])
    with pytest.raises(ValueError, match=r"tensors in '.*weights\.pth' but it cannot be loaded safely: .+"):
        read_state(str(path))


def test_indices_are_tensors_of_a_network_and_a_checkpoint_of_this_package_may_hold_masks(tmp_path: Path) -> None:
    tensors = {"weight": torch.ones(2), "index": torch.arange(3)}
    torch.save(tensors, tmp_path / "foreign.pth")
    assert read_state(str(tmp_path / "foreign.pth")).keys() == tensors.keys()
    tensors |= {"a.b.1.denselayer1.norm.1": torch.ones(1), "mask": torch.ones(3, dtype=torch.bool)}
    state = {f"network.backbone.{name}": value for name, value in tensors.items()}
    state |= {"loss.groups": torch.ones(2, dtype=torch.int8), "network.preprocess.mean": torch.ones(1)}
    torch.save({"cxr_lightning": {}, "state_dict": state}, tmp_path / "own.ckpt")
    assert read_state(str(tmp_path / "own.ckpt")).keys() == tensors.keys()  # none is renamed


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, {"state_dict": [1]}, torch.ones(2), {}])
def test_a_file_without_named_tensors_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "weights.pth")
    with pytest.raises(ValueError, match=r"tensors in '.*weights\.pth' but it holds none"):
        read_state(str(tmp_path / "weights.pth"))
