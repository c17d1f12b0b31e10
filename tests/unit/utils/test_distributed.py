"""What the environment says of the processes that something else has started."""

import pytest

from cxr_lightning.utils import distributed

TORCHRUN = {"TORCHELASTIC_RUN_ID": "none", "RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}
SRUN = {
    "SLURM_NTASKS": "8",
    "SLURM_PROCID": "5",
    "SLURM_LOCALID": "1",
    "SLURM_STEP_ID": "0",
    "SLURM_JOB_NAME": "predict",
}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, (1, 0, 0, 1)),
        (TORCHRUN, (8, 5, 1, 4)),
        (SRUN, (8, 5, 1, 1)),
        ({**SRUN, **TORCHRUN, "RANK": "0"}, (8, 0, 1, 4)),  # torchrun within srun
        ({**SRUN, "SLURM_JOB_NAME": "bash"}, (1, 0, 0, 1)),
        ({name: value for name, value in SRUN.items() if name != "SLURM_STEP_ID"}, (1, 0, 0, 1)),  # a job's script
        ({name: value for name, value in TORCHRUN.items() if name != "TORCHELASTIC_RUN_ID"}, (1, 0, 0, 1)),
    ],
)
def test_ranks_and_numbers_of_processes(
    environment: dict[str, str], expected: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in {*TORCHRUN, *SRUN}:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    functions = (
        distributed.world_size,
        distributed.global_rank,
        distributed.local_rank,
        distributed.local_world_size,
    )
    assert tuple(function() for function in functions) == expected
    assert distributed.is_externally_launched() is (expected[0] > 1)


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"SLURM_NTASKS": "0"}, "at least 1 in the environment variable SLURM_NTASKS but got '0'"),
        ({"SLURM_NTASKS": "abc"}, "SLURM_NTASKS but got 'abc'"),
        ({"SLURM_NTASKS": "-3"}, "SLURM_NTASKS but got '-3'"),
        ({"SLURM_PROCID": "x"}, "at least 0 in the environment variable SLURM_PROCID but got 'x'"),
        ({"SLURM_NTASKS": "1", "SLURM_PROCID": "5"}, "below the number of processes, 1, .* SLURM_PROCID but got 5"),
    ],
)
def test_numbers_that_are_none_are_refused(
    environment: dict[str, str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in TORCHRUN:
        monkeypatch.delenv(name, raising=False)
    for name, value in {**SRUN, **environment}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=words):
        distributed.global_rank()


def test_no_processes_on_a_machine_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**TORCHRUN, "LOCAL_WORLD_SIZE": "0"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match="at least 1 in the environment variable LOCAL_WORLD_SIZE but got '0'"):
        distributed.local_world_size()
