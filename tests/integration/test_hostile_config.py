"""Nothing but this package, Lightning, torch's optimizers and Hydra's own launchers is made from a configuration."""

import shutil
import sys
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra

from cxr_lightning.app.configuration import conf_folder
from cxr_lightning.app.train import run_train
from tests.slow_cases import one_in

EVIL = "{_target_:shutil.copy,src:train.py,dst:%s}"
FILES = {
    "callback": "hydra:\n  callbacks:\n    x: {_target_: shutil.copy, src: train.py, dst: %s}\n",
    "nested": "hydra:\n  sweeper:\n    sampler: {deep: [{_target_: shutil.copy, src: train.py, dst: %s}]}\n",
    "reference": "evil: shutil.copy\nhydra:\n  callbacks:\n    x: {_target_: '${evil}', src: train.py, dst: %s}\n",
    "handler": "hydra:\n  job_logging:\n    handlers:\n      x: {(): shutil.copy, src: train.py, dst: %s}\n",
    "class": "hydra:\n  job_logging:\n    formatters:\n      x: {class: shutil.copy, dst: %s}\n",
    "external": "hydra:\n  hydra_logging:\n    handlers:\n      x: {class: logging.Handler, level: 'ext://%s'}\n",
    "space": "hydra:\n  sweeper:\n    custom_search_space: shutil.copy\n    unused: %s\n",
    "callbacks of ours": "callbacks:\n  x: {_target_: shutil.copy, src: train.py, dst: %s}\n",
    "list of ours": "data:\n  views: [{_target_: shutil.copy, src: train.py, dst: %s}]\n",
}


def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    GlobalHydra.instance().clear()
    monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
    with pytest.raises(SystemExit) as exit_:
        run_train()
    assert exit_.value.code == 1
    output = capsys.readouterr()
    assert "Traceback" not in output.out + output.err
    (line,) = [line for line in output.err.splitlines() if line.startswith("error: ")]
    return line


@pytest.mark.parametrize(
    "arguments",
    one_in(
        2,
        [
            ["+hydra.callbacks.x={evil}"],
            ["-m", "+hydra.callbacks={{x:{evil}}}"],
            ["-m", "seed=1,2", "+hydra.callbacks.x={evil}"],
            ["hydra.launcher._target_=shutil.copy"],
            ["-m", "hydra.sweeper._target_=shutil.copy"],
            ["hydra.job_logging.handlers.console.class=shutil.copy"],
            ["+callbacks.x={evil}"],
            ["model._target_=shutil.copy"],
            ["-m", "model._target_=shutil.copy,os.system"],
            ["data.views=[{evil}]"],
            ["+callbacks.x=${{oc.create:'{evil}'}}"],
            ["--help", "+hydra.hydra_logging.handlers.x={{class:shutil.copy}}"],
            ["+hydra.job_logging.handlers.x={{class:logging.shutil.copy}}"],
            ["+hydra.evil={evil}"],
            ["--experimental-rerun", "shutil.copy"],
            ["-cp", "pkg://shutil.copy"],
            ["hydra.searchpath=[pkg://shutil.copy]"],
        ],
    ),
    ids=str,
)
def test_a_command_line_that_names_other_code_is_refused(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written = tmp_path / "written"
    given = [text.replace("{evil}", EVIL % written).replace("{{", "{").replace("}}", "}") for text in arguments]
    line = refused(monkeypatch, capsys, *given, "train=false", f"paths.log_dir={tmp_path}")
    assert any(
        word in line for word in ("shutil.copy", "plain values in the list 'data.views'", "--experimental-rerun")
    )
    assert not written.exists()


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("sweep", one_in(2, [False, True]))
def test_a_file_that_names_other_code_is_refused(
    kind: str, sweep: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written, folder = tmp_path / "written", tmp_path / "conf"
    shutil.copytree(conf_folder(), folder)
    (folder / "experiment/evil.yaml").write_text(f"# @package _global_\n{FILES[kind] % written}")
    chosen = ["-m", "experiment=walkthrough,evil"] if sweep else ["experiment=evil"]
    given = ["--config-path", str(folder), *chosen, f"paths.log_dir={tmp_path}", "data=phantom", "train=false"]
    if sweep and kind.endswith("of ours"):
        given = [text for text in given if text != "experiment=walkthrough,evil"] + ["experiment=evil,evil"]
    line = refused(monkeypatch, capsys, *given)
    assert not written.exists()
    assert "other code" in line.lower() or "plain values in the list" in line or "key" in line


@pytest.mark.slow
def test_plugins_and_sweeps_of_numbers_are_let_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for sweep in (["seed=1,2"], ["seed=range(1,3)"], ["optimizer=adam,sgd"], ["optimizer=glob(*)"]):
        line = refused(monkeypatch, capsys, "-m", *sweep, "train=false", f"paths.log_dir={tmp_path}")
        assert "train=false" in line
    line = refused(monkeypatch, capsys, "-m", "optimizer.lr=interval(0.1,1)", f"paths.log_dir={tmp_path}")
    assert "interval" in line.lower() or "not supported" in line
