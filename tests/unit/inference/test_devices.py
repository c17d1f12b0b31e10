"""Which GPU a process takes."""

import pytest

from cxr_lightning.inference.devices import gpu_of_process


@pytest.mark.parametrize(
    ("local_rank", "visible", "count", "expected"),
    [
        (None, None, None, 0),
        (None, "2,3", 2, 0),
        (1, None, None, 1),
        (1, "0,1,2,3", None, 1),
        (1, "0", None, 0),  # as of --gpus-per-task=1: the task sees its own GPU alone
        (3, None, 2, 1),
        (1, "", None, 1),
    ],
)
def test_processes_have_a_gpu_each(
    local_rank: int | None,
    visible: str | None,
    count: int | None,
    expected: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if local_rank is not None:
        monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
        monkeypatch.setenv("LOCAL_RANK", str(local_rank))
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpu_of_process(count) == expected
