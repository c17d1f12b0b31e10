"""Hydra's own settings and YAML files of other people run no code, exhaust nothing and write into their own folder."""

import os
import shutil
import sys
import time
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra

from cxr_lightning.app.configuration import conf_folder
from cxr_lightning.app.train import run_train
from tests.slow_cases import one_in

MAX_SECONDS = 15

DOUBLED = "".join(f"b{number}: ${{b{number - 1}}}${{b{number - 1}}}\n" for number in range(1, 41))
CHAIN = "".join(f"c{number}: ${{c{number - 1}}}\n" for number in range(1, 900))
LAUGHS = "a0: &a0 [x, x]\n" + "".join(
    f"a{number}: &a{number} [{', '.join([f'*a{number - 1}'] * 9)}]\n" for number in range(1, 10)
)
MERGED = "a0: &a0 {x: 1}\n" + "".join(
    f"a{number}: &a{number} {{<<: [{', '.join([f'*a{number - 1}'] * 9)}]}}\n" for number in range(1, 10)
)
NODES = "n0: {x: 1}\n" + "".join(
    f"n{number}: {{x: '${{n{number - 1}}}', y: '${{n{number - 1}}}'}}\n" for number in range(1, 25)
)
SLURM = "defaults:\n- override /hydra/launcher: submitit_slurm\nhydra:\n  launcher: {%s}\n"
JOBLIB = SLURM.replace("submitit_slurm", "joblib")
SEARCH = "hydra:\n  mode: MULTIRUN\n  sweeper:\n    params: {%s}\n"
LOGGING = "hydra:\n  job_logging: {%s}\n"
OPTUNA = "defaults:\n- override /hydra/sweeper: optuna\nhydra:\n  sweeper: {%s}\n"
HANDLER = "hydra:\n  job_logging:\n    handlers:\n      file: {class: logging.FileHandler, filename: %s}\n"

FILES = {
    # what logging.config makes
    "indirect handler": "evil: shutil.copy\n" + LOGGING % "handlers: {x: {class: '${evil}', src: WRITTEN}}",
    "indirect factory": "evil: shutil.copy\n" + LOGGING % "filters: {x: {(): '${evil}', dst: WRITTEN}}",
    "indirect stream": "evil: 'ext://shutil.copy'\nhydra:\n  job_logging:\n    root: {level: '${evil}'}\n",
    "network": LOGGING % "handlers: {x: {class: logging.handlers.SocketHandler, host: h, port: 1}}",
    "mail": LOGGING % "handlers: {x: {class: logging.handlers.SMTPHandler}}",
    "queue": LOGGING % "handlers: {x: {class: logging.handlers.QueueHandler, queue: shutil.copy}}",
    "memory": LOGGING % "handlers: {x: {class: logging.handlers.MemoryHandler, capacity: 1}}",
    "attribute": LOGGING % "handlers: {console: {'.': {emit: x}}}",
    "cfg": LOGGING % "handlers: {console: {stream: 'cfg://handlers'}}",
    "wide": "hydra:\n  job_logging:\n    formatters:\n      brief: {format: '%(message)999999999s'}\n",
    "elsewhere": HANDLER % "WRITTEN.log",
    "above": HANDLER % "'${hydra.runtime.output_dir}/../WRITTEN.log'",
    "by its job's name": "hydra:\n  job: {name: ../../written}\n",
    "summary": HANDLER % "'${hydra.runtime.output_dir}/summary.json'",
    "checkpoint": HANDLER % "'${paths.output_dir}/checkpoints/x.log'",
    "replacing": HANDLER % "'${hydra.runtime.output_dir}/x.log', mode: w",
    "encoding": HANDLER % "'${hydra.runtime.output_dir}/x.log', encoding: zlib_codec",
    # environment
    **{
        f"env {name}": f"hydra:\n  job:\n    env_set: {{{name}: FOLDER}}\n"
        for name in ("PYTHONPATH", "LD_PRELOAD", "PYTHONSTARTUP", "PYTHONBREAKPOINT", "CXR_PLUGINS", "PATH", "HOME")
    },
    "env by reference": "evil: {PYTHONPATH: FOLDER}\nhydra:\n  job:\n    env_set: ${evil}\n",
    "env value": "hydra:\n  job:\n    env_set: {OMP_NUM_THREADS: '100000'}\n",
    "env copied": "hydra:\n  job:\n    env_copy: [PATH]\n",
    "env absent": "hydra:\n  job:\n    env_copy: [CXR_NO_SUCH_VARIABLE]\n",
    # callbacks, launchers and sweepers
    "pickles": "hydra:\n  callbacks:\n    x: {_target_: hydra.experimental.callbacks.PickleJobInfoCallback}\n",
    "arguments": "hydra:\n  callbacks:\n    x: {_target_: cxr_lightning.app.sweep.RememberFolder, _args_: [1]}\n",
    "shell": SLURM % "setup: ['touch WRITTEN']",
    "sbatch": (
        "defaults:\n- override /hydra/launcher: submitit_slurm\n"
        "hydra:\n  launcher: {additional_parameters: {wrap: touch WRITTEN}}\n"
    ),
    "newline": SLURM % 'partition: "a\\ntouch WRITTEN"',
    "python": (
        "hydra:\n  launcher: {_target_: hydra_plugins.hydra_submitit_launcher.submitit_launcher.LocalLauncher, "
        "python: touch WRITTEN}\n"
    ),
    "results": "defaults:\n- override /hydra/launcher: submitit_local\nhydra:\n  launcher: {submitit_folder: FOLDER}\n",
    "expression": JOBLIB % "pre_dispatch: \"open('WRITTEN','w')\"",
    "memory maps": JOBLIB % "temp_folder: FOLDER",
    "redis": "defaults:\n- override /hydra/sweeper: optuna\nhydra:\n  sweeper: {storage: 'redis://host/0'}\n",
    "objective": (
        "evil: shutil.copy\ndefaults:\n- override /hydra/sweeper: optuna\n"
        "hydra:\n  sweeper: {custom_search_space: '${evil}'}\n"
    ),
    "sampler": (
        "defaults:\n- override /hydra/sweeper: optuna\n- override /hydra/sweeper/sampler: nsgaii\n"
        "hydra:\n  sweeper: {sampler: {constraints_func: {_target_: shutil.copy}}}\n"
    ),
    "pickles of a study": OPTUNA.replace("sweeper: optuna", "sweeper: optuna\n- override /hydra/sweeper/sampler: cmaes")
    % "storage: 'sqlite:///FOLDER/search.db'",
    "record": "hydra: {output_subdir: FOLDER}\n",
    # what Hydra sets later, and what is not known before
    "job's id": HANDLER % "'${hydra.runtime.output_dir}/${hydra.job.id}.log'" + "  job: {id: /../../../WRITTEN}\n",
    "job's number": "hydra: {job: {num: 3}}\n",
    "output folder": "hydra: {runtime: {output_dir: FOLDER}}\n",
    "choices": "hydra: {runtime: {choices: {model: x}}}\n",
    "overrides": "hydra: {overrides: {task: [seed=2]}}\n",
    "job's folder in a name": HANDLER % "'${hydra.runtime.output_dir}/${hydra.sweep.subdir}.log'",
    "through a link": HANDLER % "'${hydra.runtime.output_dir}/link/../x.log'",
    "folder in a script": SLURM % "comment: '${hydra.run.dir}'" + '  run: {dir: "x\\ntouch WRITTEN"}\n',
    "folder in a script, indirectly": SLURM % "comment: '${paths.output_dir}'",
    "job's folder in a script": SLURM % "comment: '${hydra:sweep.subdir}'",
    "folder in an environment": "hydra: {job: {env_set: {CUDA_VISIBLE_DEVICES: '${hydra.sweep.subdir}'}}}\n",
    # characters that do not show themselves
    **{
        f"hidden in {key}": f"hydra: {text}\n"
        for key, text in {
            "run.dir": '{run: {dir: "x\\e[2J"}}',
            "sweep.dir": '{sweep: {dir: "x\\ny"}}',
            "subdir": '{sweep: {subdir: "x\\u202ey"}}',
            "job.name": '{job: {name: "x\\ry"}}',
            "verbose": '{verbose: ["x\\ny"]}',
            "help": '{help: {template: "\\e[2J"}}',
            "a format": '{job_logging: {formatters: {brief: {format: "%(message)s\\e[2J"}}}}',
            "a date": '{job_logging: {formatters: {brief: {datefmt: "\\n"}}}}',
            "a name": '{job_logging: {loggers: {"x\\ny": {level: INFO}}}}',
        }.items()
    },
    "hidden in a format, indirectly": 'x: "\\e[2J"\n' + LOGGING % "formatters: {brief: {format: '${x}'}}",
    "invisible letter": SLURM % 'comment: "a\\u3164b"',
    "hidden in a storage": OPTUNA % 'storage: "sqlite:///a\\rb"',
    "wide date": LOGGING % "formatters: {brief: {datefmt: '%99999Y'}}",
    "long date": LOGGING % f"formatters: {{brief: {{datefmt: '{'y ' * 2000}'}}}}",
    # sweeps
    "parameter": SEARCH % "debug: 'fast,job'",
    "parameter of Hydra": SEARCH % "'+hydra.callbacks.x._target_': shutil.copy",
    "endless sweep": SEARCH % "seed: 'range(1,1000000000)'",
    "long sweep": SEARCH % f"seed: '{','.join(map(str, range(5000)))}'",
    # YAML and references
    "doubled": f"b0: {'x' * 100}\n{DOUBLED}",
    "nodes": NODES,
    "chain": f"c0: 1\n{CHAIN}",
    "loop": "l0: ${l1}\nl1: ${l0}\n",
    "within itself": "l0: {a: 1, b: '${l0}'}\n",
    "hidden": "h0: ${oc.decode:'${h1}'}\nh1: x\n",
    "created": "h0: \"${oc.create:'{_target_: shutil.copy}'}\"\n",
    "by name": "h0: ${${h1}}\nh1: seed\n",
    "walk": "h0: ${job_folder:0,/,auto}\n",
    "nested": "h0: " + "${oc.env:" * 30 + "}" * 30 + "\n",
    "laughs": LAUGHS,
    "merged": MERGED,
    "itself": "a: &a [*a]\n",
    "deep": "a: " + "[" * 3000 + "]" * 3000 + "\n",
    "tag": "a: !!python/object/apply:os.system ['touch WRITTEN']\n",
    "path tag": "a: !!python/object/apply:pathlib.PosixPath [x]\n",
    "binary": "a: !!binary aGk=\n",
    "number": f"a: {'9' * 200_000}\n",
    "large": f"a: '{'x ' * 200_000}'\n",
    "many": "".join(f"k{number}: 1\n" for number in range(22_000)),
    "list": "- a\n",
    "text": "'{a: b}'\n",
    "package": "# @package " + ".".join("a" * 200) + "\na: 1\n",
    "separator": "hydra: {job: {config: {override_dirname: {kv_sep: '\\g<9>'}}}}\n",
    "no settings": "hydra: {job: x}\n",
    "tree": "defaults:\n- /tree/t0@a\n- /tree/t0@b\n",
    "large files": "defaults:\n" + "".join(f"- /large/f{number}\n" for number in range(6)),
    # values of other types than logging takes
    **{
        f"logging {text}": LOGGING % text
        for text in (
            "version: 2",
            "version: true",
            "incremental: true",
            "disable_existing_loggers: x",
            "root: {level: NOISY}",
            "root: {level: 51}",
            "root: {level: true}",
            "root: {handlers: [nope]}",
            "root: {handlers: console}",
            "root: {handlers: [console, console]}",
            "root: {filters: [nope]}",
            "root: {propagate: x}",
            "loggers: {a: {level: [1]}}",
            "loggers: {1: {level: INFO}}",
            "handlers: {console: {level: {a: b}}}",
            "handlers: {console: {formatter: nope}}",
            "handlers: {console: {formatter: [brief]}}",
            "handlers: {console: {stream: [1]}}",
            "handlers: {file: {delay: x}}",
            "handlers: {file: {maxBytes: 1}}",
            "handlers: {file: {class: logging.handlers.RotatingFileHandler, maxBytes: abc}}",
            "handlers: {file: {class: logging.handlers.RotatingFileHandler, backupCount: true}}",
            "filters: {x: {name: [1]}}",
            "formatters: {brief: {validate: 3}}",
            "formatters: {brief: {format: '%(nope)s'}}",
            "formatters: {brief: {format: '%(message)d'}}",
            "formatters: {x: {(): colorlog.ColoredFormatter, log_colors: {INFO: nope}}}",
        )
    },
    **{
        f"Hydra {text}": f"hydra: {text}\n"
        for text in (
            "{verbose: 1}",
            "{verbose: {a: b}}",
            "{verbose: null}",
            "{verbose: [[a]]}",
            "{mode: MULTIRUN, sweeper: {max_batch_size: 0}}",
            "{searchpath: [x]}",
            "{1: x}",
            # folders
            '{run: {dir: "x\\0y"}}',
            f"{{run: {{dir: {'x' * 300}}}}}",
            f"{{run: {{dir: {'x/' * 3000}}}}}",
            f"{{mode: MULTIRUN, sweep: {{dir: {'x' * 300}}}}}",
            f"{{mode: MULTIRUN, sweep: {{subdir: {'x' * 300}}}}}",
            "{mode: MULTIRUN, sweep: {subdir: WRITTEN}}",
            "{mode: MULTIRUN, sweep: {subdir: ../../..}}",
            "{mode: MULTIRUN, sweep: {subdir: 'a/../../b'}}",
            "{mode: MULTIRUN, sweep: {subdir: '${hydra.sweep.dir}/../x'}}",
            "{mode: MULTIRUN, sweep: {subdir: [x]}}",
        )
    },
    "folder by reference": 'x: "a\\0b"\nhydra: {run: {dir: "${x}"}}\n',
    "job's folder by reference": "x: WRITTEN\nhydra: {mode: MULTIRUN, sweep: {subdir: '${x}'}}\n",
    "half a character": 'x: "\\ud800"\nhydra: {run: {dir: "${x}"}}\n',
    **{
        f"storage {place}": OPTUNA % f"storage: 'sqlite:///{place}'"
        for place in (
            "WRITTEN",
            "../x.db",
            "a/../../x.db",
            "${hydra.sweep.dir}/../x.db",
            "file:x.db",
            "${oc.env:HOME}/x",
        )
    },
    "endless trials": OPTUNA % "n_jobs: 0",
    # keys, long numbers and defaults lists
    "a number as a key": "1: x\n",
    "a truth as a key": "true: x\n",
    "no number as a key": ".nan: x\n",
    "a tagged number": f"seed: !!int '0b{'1' * 50_000}'\n",
    "a quoted number": f"seed: '{'9' * 50_000}'\n",
    **{
        f"defaults {text}": f"defaults: {text}\n" for text in ("{a: b}", "[1]", "x", "[[a]]", '["a\\0b"]', "[{a: [1]}]")
    },
    "defaults elsewhere": "defaults:\n- /experiment@_global_.hydra: full\n",
    "names": "defaults:\n" + "".join(f"- optional n{number}: ${{data}}${{data}}\n" for number in range(30)),
}
COMMANDS = [
    [f"data.labels=[{','.join(map(str, range(15_000)))}]"],
    ["-m", f"seed={','.join(map(str, range(15_000)))}"],
    ["-m", "seed=tag(a,b,interval(1,2))"],
    ["seed=" + "9" * 5000],
    ["~hydra.job_logging.root"],
    ["hydra.run.dir=" + "x" * 300],
    ["-m", "seed=range(1,1000000000)"],
    ["-m", "seed=range(1,inf)"],
    ["-m", "seed=range(1,2,0)"],
    ["-m", "seed=range(1,1000)", "data.seed=range(1,1000)"],
    ["-m", "hydra/sweeper=optuna", "seed=shuffle(range(1,1000000000))"],
    ["-m", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=1000000"],
    ["-m", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=99999", "seed=1,2"],
    ["-m", "hydra/sweeper=optuna", "hydra/sweeper/sampler=grid", "seed=range(1,200)", "data.seed=range(1,200)"],
    [
        "-m",
        "hydra/sweeper=optuna",
        "hydra/sweeper/sampler=grid",
        "hydra.sweeper.direction=maximize",
        "seed=int(interval(1,1000000000))",
    ],
    ["-m", *(f"+x{number}=range(1,1000000000)" for number in range(50))],
    ["-m", "data.seed=range(1,1)", "seed=range(1,1000000000)"],
    ["hydra.job.id=x"],
    ["hydra/launcher=submitit_slurm", "hydra.launcher.comment=${hydra.run.dir}"],
    ["hydra.searchpath=[structured://shutil]"],
    ["experiment=../../.pre-commit-config"],
    ["+hydra.job.env_set.PYTHONPATH=/x"],
    ["+b0=xxxxxxxxxx", *(f"+b{number}='${{b{number - 1}}}${{b{number - 1}}}'" for number in range(1, 30))],
    ["-cn", "evil"],
]


def end(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    GlobalHydra.instance().clear()
    monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
    before = time.monotonic()
    with pytest.raises(SystemExit) as exit_:
        run_train()
    assert exit_.value.code == 1
    assert time.monotonic() - before < MAX_SECONDS
    output = capsys.readouterr()
    assert "Traceback" not in output.out + output.err
    (line,) = output.err.splitlines()
    assert line.startswith("error: Expected ")
    return line


def make_huge(path: Path) -> None:
    path.touch()
    os.truncate(path, 10**12)


@pytest.fixture(scope="module")
def conf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile") / "conf"
    shutil.copytree(conf_folder(), folder)
    (folder / "tree").mkdir()
    for number in range(25):
        children = f"defaults:\n- t{number + 1}@a\n- t{number + 1}@b\n" if number < 24 else "x: 1\n"
        (folder / f"tree/t{number}.yaml").write_text(children)
    (folder / "large").mkdir()
    for number in range(6):
        (folder / f"large/f{number}.yaml").write_text(f"#{'x' * 200_000}\nx: 1\n")
    job = "# @package _global_\nhydra:\n  job_logging:\n    handlers:\n      x: {class: shutil.copy}\n"
    (folder / "debug/job.yaml").write_text(job)
    train = (folder / "train.yaml").read_text()
    (folder / "evil.yaml").write_text(f"{train}\nhydra:\n  searchpath: [pkg://shutil.copy]\n")
    return folder


@pytest.mark.parametrize("kind", one_in(5, FILES))
def test_a_file_of_settings_runs_nothing_and_exhausts_nothing(
    kind: str, conf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written, folder = tmp_path / "written", tmp_path / "planted"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(f"open({str(written)!r}, 'w')\n")
    text = FILES[kind].replace("WRITTEN", str(written)).replace("FOLDER", str(folder))
    header = "" if kind == "package" else "# @package _global_\n"
    (conf / "experiment/evil.yaml").write_text(f"{header}{text}")
    end(monkeypatch, capsys, "--config-path", str(conf), "experiment=evil", f"paths.log_dir={tmp_path}", "train=false")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["planted"]
    assert [path.name for path in folder.iterdir()] == ["sitecustomize.py"]


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda arguments: " ".join(arguments)[:60])
def test_a_command_line_exhausts_nothing(
    arguments: list[str],
    conf: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = ["--config-path", str(conf), *arguments, f"paths.log_dir={tmp_path}", "train=false"]
    end(monkeypatch, capsys, *given)
    assert not list(tmp_path.iterdir())


def test_only_regular_files_of_text_are_read(
    conf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = conf / "experiment/odd.yaml"
    for make in (
        os.mkfifo,
        lambda path: path.symlink_to("/dev/zero"),
        lambda path: path.write_bytes(b"a: \xff\n"),
        lambda path: path.write_bytes(b"a: \x00\n"),
        make_huge,
    ):
        make(file)
        end(monkeypatch, capsys, "--config-path", str(conf), "experiment=odd", f"paths.log_dir={tmp_path}")
        file.unlink()


def test_logs_are_not_written_through_links_of_a_folder_that_goes_on(
    conf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, target = tmp_path / "run", tmp_path / "target"
    folder.mkdir()
    (folder / "train.log").symlink_to(target)
    line = end(monkeypatch, capsys, f"hydra.run.dir={folder}", "train=false")
    assert "train.log" in line
    assert not target.exists()


@pytest.mark.parametrize("name", ["settings.json", "history.csv", "summary.json", "error.txt", ".lock"])
def test_folders_in_the_place_of_results_are_named(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).mkdir()
    line = end(monkeypatch, capsys, f"hydra.run.dir={tmp_path}", "resume=auto")
    assert name in line
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_results_of_jobs_are_not_read_from_a_folder_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".submitit/1").mkdir(parents=True)
    given = ["-m", "hydra/launcher=submitit_local", "seed=1,2", f"hydra.sweep.dir={tmp_path}"]
    assert ".submitit" in end(monkeypatch, capsys, *given)


@pytest.mark.parametrize(
    "arguments",
    one_in(
        3,
        [
            ["hydra/job_logging=disabled"],
            ["hydra/job_logging=none", "hydra/hydra_logging=none"],
            ["hydra/job_logging=stdout"],
            ["hydra.output_subdir=null", "hydra.verbose=true"],
            ["+hydra.job.env_set.OMP_NUM_THREADS=1", "+hydra.job.env_set.CUDA_VISIBLE_DEVICES='0,1'"],
            ["hydra.job_logging.handlers.file.filename='${paths.output_dir}/other.log'"],
            ["+hydra.callbacks.result._target_=hydra.experimental.callbacks.LogJobReturnCallback"],
            ["hparams_search=optuna", "hydra.sweeper.storage='sqlite:///${hydra.sweep.dir}/search.db'"],
            ["hparams_search=optuna", "hydra.sweeper.storage=sqlite:///search.db"],
            ["hparams_search=optuna", "hydra.sweeper.storage=sqlite:////data/search.db"],
            ["hydra.sweep.subdir='${hydra.job.override_dirname}'", "hydra.verbose=[a,b]"],
            ["+hydra.job_logging.handlers.file.level=30", "+hydra.job_logging.loggers.a.level=DEBUG"],
            ["hydra/sweeper=optuna", "hydra/sweeper/sampler=cmaes", "hydra/launcher=joblib"],
            ["hydra/launcher=submitit_slurm", "hydra.launcher.comment='a study (2)'"],
            ["experiment=evil", '+seed_of_environment="${oc.decode:${oc.env:CXR_SEED,1}}"'],
        ],
    ),
    ids=str,
)
def test_usual_settings_are_let_through(
    arguments: list[str],
    conf: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (conf / "experiment/evil.yaml").write_text("# @package _global_\nx: &x [1]\ny: *x\nz: {<<: {a: 1}}\n")
    GlobalHydra.instance().clear()
    monkeypatch.setattr(sys, "argv", ["train.py", "--config-path", str(conf), *arguments, "--cfg", "hydra"])
    run_train()
    assert "job_logging" in capsys.readouterr().out
