"""Prepared images that were damaged, as a user meets them: one line, and a new start repairs them."""

import json
from pathlib import Path

import pytest

from cxr_lightning.data.cache import request
from tests.conftest import Run, assert_one_error_line

EPOCH = "trainer.max_epochs=1"
ROW_BYTES = 32 * 32


def invert(folder: Path, *names: str) -> None:
    """Invert the prepared pixels of some images; of all but the first one without names."""
    (index,) = folder.glob("cache/images/*/index.jsonl")
    entries = [json.loads(line) for line in index.read_text().splitlines()[1:]]
    rows = {Path(entry["file"]).name: entry["row"] for entry in entries}
    with index.with_name("pixels.u8").open("r+b") as file:
        for name in names or sorted(rows)[1:]:
            file.seek(rows[name] * ROW_BYTES)
            pixels = file.read(ROW_BYTES)
            file.seek(rows[name] * ROW_BYTES)
            file.write(bytes(255 - value for value in pixels))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_damaged_pixels_stop_training_and_evaluation_and_are_prepared_again(
    workers: int,
    run: Run,
    evaluate: Run,
    own_small: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(request, "_MAX_CHECKED", 1)  # only the first image is compared before a run
    settings = [*own_small, EPOCH, f"data.num_workers={workers}"]
    code, folder = run(*settings)
    assert code == 0
    report = [f"ckpt={folder}/checkpoints/best.ckpt", "cache=true"]
    last_test_image = "00000016_001.png"
    for command, arguments, names in ((run, settings, ()), (evaluate, report, (last_test_image,))):
        invert(tmp_path, *names)
        capsys.readouterr()
        assert command(*arguments)[0] == 1
        output = capsys.readouterr()
        parts = ["Expected the prepared images in", "that were read have changed: row", "Start again"]
        assert_one_error_line(output.out, output.err, parts)
        assert command(*arguments)[0] == 0
