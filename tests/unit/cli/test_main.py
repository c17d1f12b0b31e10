"""The cxr command: how verbs are found, how their arguments are read, and what wrong usage gives."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import pytest
import typer
from typer.main import get_command

from cxr_lightning.cli import verbs
from cxr_lightning.cli.arguments import PathOption, refuse_several
from cxr_lightning.cli.main import VerbExit, build_app, main
from cxr_lightning.cli.verbs import convert, explain, phantom, prepare
from cxr_lightning.imaging.reader import BadImagePolicy, Interpolation
from cxr_lightning.models.setting_rules import TargetLayer
from cxr_lightning.models.settings_model import Mode
from cxr_lightning.phantom.spec import PhantomSpec

NAMES = sorted(path.stem for path in Path(*verbs.__path__).glob("[!_]*.py"))
HEAVY = {"torch", "pytorch_lightning", "pandas", "matplotlib", "numpy", "pydantic"}
CONTEXT_SETTINGS = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}
"""Settings of the verbs below, as a verb's own module may have them."""


def run(verb: Callable[..., int | None], *arguments: str) -> int:
    """Exit code of a verb that is added to the others."""
    with pytest.raises(SystemExit) as exit_:
        get_command(build_app([verb]))([verb.__name__, *arguments], prog_name="cxr")
    assert isinstance(exit_.value.code, int)
    return exit_.value.code


def refused(*arguments: str) -> int:
    """Exit code of a wrong command line."""
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert isinstance(exit_.value.code, int)
    return exit_.value.code


def write_verb(folder: Path, name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the command find one more module beside its own."""
    (folder / f"{name}.py").write_text(text)
    monkeypatch.setattr(verbs, "__path__", [*verbs.__path__, str(folder)])
    monkeypatch.delitem(sys.modules, f"{verbs.__name__}.{name}", raising=False)


def modules_after(code: str) -> set[str]:
    """Modules that a program has imported at its end; it may print."""
    program = f"import sys\n{code}\nprint('loaded', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_a_module_with_one_function_is_a_verb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = '''
from typing import Annotated
import typer

def invert(image: str, times: Annotated[int, typer.Option(help="how often")] = 1) -> int:
    """Invert an image.

    It says more here.
    """
    print(image, times)
    return 7
'''
    write_verb(tmp_path, "invert", text, monkeypatch)
    assert main(["invert", "x.png", "--times", "-2"]) == 7
    assert capsys.readouterr().out == "x.png -2\n"
    assert refused("--help") == 0
    assert "  invert       Invert an image.\n" in capsys.readouterr().out
    assert refused("invert", "-h") == 0
    said = capsys.readouterr().out
    assert "It says more here." in said
    assert re.search(r"--times \S+  how often  \[default: 1\]", said)


def test_help_lists_every_verb_with_a_summary(capsys: pytest.CaptureFixture[str]) -> None:
    assert refused("--help") == 0
    said = capsys.readouterr().out
    listed = [line.split() for line in said.partition("Commands:\n")[2].splitlines()]
    assert [words[0] for words in listed] == NAMES
    assert all(words[-1].endswith(".") and not words[-1].endswith("...") for words in listed)
    assert "Not for clinical use." in said


def test_the_command_alone_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert refused() == 2
    assert "Commands:" in capsys.readouterr().err


def test_help_of_every_verb_is_quick() -> None:
    code = f"""
from cxr_lightning.cli.main import main
for arguments in [[], *([name] for name in {NAMES})]:
    try:
        main([*arguments, "--help"])
    except SystemExit as end:
        assert end.code == 0
"""
    assert not modules_after(code) & HEAVY


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["frobnicate"], 2),
        (["check", "--frobnicate", "x.ckpt"], 2),
        (["export", "x.ckpt"], 2),
        (["explain", "x.png", "--model", "x.ckpt", "--top", "many"], 2),
        (["explain", "x.png", "--model", "x.ckpt", "--top", "1", "--labels", "Mass"], 2),
        (["explain", "x.png", "--model", "x.ckpt", "--top", "0"], 1),
        (["compare", "a.csv", "b.csv", "--out", "absent/c.csv"], 1),
        (["convert", "x.h5", "x.pt"], 1),
        (["export", "x.ckpt", "x.pt"], 1),
        (["predict", "x.png", "--model", "x.ckpt", "--gradcam"], 1),
        (["predict", "absent.png", "--model", "x.ckpt"], 1),
        (["prepare", "x", "--image-size", "0"], 1),
    ],
)
def test_refusals_are_quick(arguments: list[str], code: int) -> None:
    program = f"""
from cxr_lightning.cli.main import main
try:
    code = main({arguments})
except SystemExit as end:
    code = end.code
assert code == {code}, code
"""
    # typer itself imports pydantic to read values, and find_images imports numpy.
    assert not modules_after(program) & (HEAVY - {"pydantic", "numpy"})


@pytest.mark.parametrize("arguments", [["frobnicate"], ["check", "--frobnicate", "x.ckpt"], ["check", "--device"]])
def test_what_does_not_exist_is_refused_without_pydantic(arguments: list[str]) -> None:
    program = f"""
from cxr_lightning.cli.main import main
try:
    main({arguments})
except SystemExit as end:
    assert end.code == 2
"""
    assert not modules_after(program) & HEAVY


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["frobnicate"], "No such command 'frobnicate'"),
        (["check", "x.ckpt", "--frobnicate"], "No such option.*--frobnicate"),
        (["check", "x.ckpt", "--dev", "cpu"], "No such option.*--dev"),
        (["check", "x.ckpt", "--device"], "requires an argument"),
        (["check", "x.ckpt", "y.ckpt"], "unexpected extra argument"),
        (["check"], "Missing argument 'MODEL'"),
        (["explain", "x.png"], "Missing option '--model'"),
        (["compare", "a.csv", "b.csv", "--seed", "x"], "Invalid value for '--seed'"),
        (["predict", "x.png", "--model", "x", "--json", "--csv"], "'--json' / '--csv': Expected one of them"),
        (["explain", "x.png", "--model", "x", "--top", "4", "--labels", "Mass"], "'--labels' / '--top': Expected one"),
    ],
)
def test_wrong_usage_is_one_error_line_and_exit_code_2(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(*arguments) == 2
    said = capsys.readouterr()
    assert not said.out
    (line,) = [line for line in said.err.splitlines() if line.startswith("Error: ")]
    assert re.search(words, line)


def test_names_and_numbers_reach_a_verb_as_they_are() -> None:
    got: dict[str, Any] = {}

    def example(
        files: list[str],
        out: Annotated[Path | None, PathOption()] = None,
        name: str = "",
        number: float = 0,
        kind: Literal["a", "b"] = "a",
        final: Annotated[bool | None, typer.Option("--final/--no-final")] = None,
    ) -> None:
        got.update(files=files, out=out, name=name, number=number, kind=kind, final=final)

    odd = os.fsdecode(b"f-\xff\xe9.png")
    options = ["--out", odd, "--name", odd, "--number", "-1.5", "--kind=b", "--no-final"]
    assert run(example, "x.png", *options, "--", "-y.png", odd, "--name") == 0
    assert got == {
        "files": ["x.png", "-y.png", odd, "--name"],
        "out": Path(odd),
        "name": odd,
        "number": -1.5,
        "kind": "b",
        "final": False,
    }
    assert run(example, "x.png") == 0
    assert got["final"] is None


def test_a_verb_may_pass_on_everything_after_its_name() -> None:
    got: list[str] = []

    def pass_on(context: typer.Context) -> int:
        """Run another program."""
        got[:] = context.args
        return 5

    command = get_command(build_app([pass_on]))
    arguments = ["-m", "model=a,b", "seed=1", "--cfg", "job", "--help", "-h", "'x=[1]'"]
    with pytest.raises(VerbExit) as end:
        command(["pass-on", *arguments], prog_name="cxr")
    assert end.value.code == 5
    assert got == arguments


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (ValueError("two\nlines"), 1, "error: two lines"),
        (FileNotFoundError("gone"), 1, "error: gone"),
        (ImportError("no onnx"), 1, "error: no onnx"),
        (OSError(), 1, "error: OSError"),
        (MemoryError("for it"), 1, "error: Expected more memory but there is none left (for it). Stop other programs."),
        (KeyboardInterrupt(), 130, "interrupted"),
        (typer.Exit(4), 4, None),
    ],
    ids=repr,
)
def test_what_a_verb_raises_is_one_line_and_an_exit_code(
    error: BaseException, code: int, words: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise error

    assert run(fail) == code
    assert capsys.readouterr().err.splitlines() == ([] if words is None else [words])


@pytest.mark.parametrize(("error", "start"), [(KeyError("no"), "KeyError: 'no' ("), (EOFError(), "EOFError (")])
def test_a_bug_is_one_line_that_names_a_file_with_its_traceback(
    error: Exception, start: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise error

    monkeypatch.setenv("CXR_TRACEBACK", "")
    assert run(broken) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {start}unexpected; the traceback is in ")
    text = Path(line.rpartition(" in ")[2].removesuffix(")")).read_text()
    assert "raise error" in text
    assert "torch " in text
    monkeypatch.setenv("CXR_TRACEBACK", "1")
    assert run(broken) == 1
    assert "Traceback" in capsys.readouterr().err


def test_options_that_exclude_each_other_are_named() -> None:
    refuse_several({"--a": False, "--b": True})
    with pytest.raises(typer.BadParameter, match="Expected one of them") as raised:
        refuse_several({"--a": True, "--b": True, "--c": False})
    assert raised.value.param_hint == ["--a", "--b"]


def choices(verb: Callable[..., object], parameter: str) -> set[str]:
    """Texts that a verb's parameter may have."""
    annotation = get_type_hints(verb)[parameter]
    literal = annotation if get_origin(annotation) is Literal else get_args(annotation)[0]  # it may be None too
    return set(get_args(literal))


@pytest.mark.parametrize(
    ("verb", "parameter", "allowed"),
    [
        (convert.convert, "preprocessing", get_args(Mode)),
        (convert.convert, "interpolation", get_args(Interpolation)),
        (prepare.prepare, "interpolation", get_args(Interpolation)),
        (prepare.prepare, "on_bad_image", get_args(BadImagePolicy)),
        (explain.explain, "target_layer", get_args(TargetLayer)),
    ],
)
def test_choices_are_those_of_what_a_verb_runs(
    verb: Callable[..., object], parameter: str, allowed: tuple[str, ...]
) -> None:
    assert choices(verb, parameter) == set(allowed)


def test_prepare_keeps_images_where_the_environment_says(
    nih_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXR_CACHE_DIR", str(tmp_path / "elsewhere"))
    assert main(["prepare", str(nih_folder), "--image-size", "16", "--workers", "1"]) == 0
    assert list(tmp_path.glob("elsewhere/images/*/pixels.u8"))


def test_defaults_of_phantom_are_those_of_the_set() -> None:
    defaults = {name: parameter.default for name, parameter in signature(phantom.phantom).parameters.items()}
    del defaults["out"]
    assert PhantomSpec(**defaults) == PhantomSpec()
