"""Lightning is told of as many processes as the program itself finds in the environment."""

import pytest
import pytorch_lightning as pl

from cxr_lightning.utils.cluster import cluster_plugins
from cxr_lightning.utils.distributed import world_size

SCRIPT = {"SLURM_JOB_ID": "4711", "SLURM_JOB_NAME": "train", "SLURM_NTASKS": "2", "SLURM_PROCID": "0"}
TASK = {**SCRIPT, "SLURM_NTASKS_PER_NODE": "2", "SLURM_STEP_ID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0"}
TORCHRUN = {
    "TORCHELASTIC_RUN_ID": "none",
    "RANK": "0",
    "WORLD_SIZE": "2",
    "LOCAL_RANK": "0",
    "LOCAL_WORLD_SIZE": "2",
    "GROUP_RANK": "0",
    "MASTER_ADDR": "127.0.0.1",
    "MASTER_PORT": "1",
}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, (1, "LightningEnvironment")),
        (SCRIPT, (1, "LightningEnvironment")),  # of sbatch, without srun
        (TASK, (2, "SLURMEnvironment")),
        ({**TASK, "SLURM_JOB_NAME": "bash"}, (1, "LightningEnvironment")),
        (TORCHRUN, (2, "TorchElasticEnvironment")),
        ({**SCRIPT, **TORCHRUN}, (2, "TorchElasticEnvironment")),
        ({**TASK, **TORCHRUN}, (2, "TorchElasticEnvironment")),
    ],
)
def test_lightning_takes_the_processes_that_this_package_counts(
    environment: dict[str, str], expected: tuple[int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in {*TASK, *TORCHRUN}:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    number = world_size()
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=number,
        strategy="ddp" if number > 1 else "auto",
        plugins=[*cluster_plugins()],
        logger=False,
        enable_checkpointing=False,
    )
    found = trainer._accelerator_connector.cluster_environment
    assert (number, type(found).__name__) == expected
    assert trainer.world_size == number
