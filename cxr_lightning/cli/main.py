"""The ``cxr`` command: tools that read and write files, without a configuration folder."""

import logging
import os
import shutil
import sys
import textwrap
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial, wraps
from importlib import import_module
from inspect import getmodule
from io import TextIOWrapper
from pkgutil import iter_modules, resolve_name
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand
from typer.main import get_command

from cxr_lightning.cli import verbs
from cxr_lightning.cli.registry import registered_verbs
from cxr_lightning.utils.log_records import keep_logs_plain
from cxr_lightning.utils.output import StreamName, output_may_end
from cxr_lightning.utils.plugins import load_plugins
from cxr_lightning.utils.signals import Stopped, stop_on_signals
from cxr_lightning.utils.terminal import say, say_error
from cxr_lightning.utils.unexpected import describe_unexpected, message_of, shows_tracebacks
from cxr_lightning.utils.write_errors import explain_write_error

Verb = Callable[..., int | None]
"""A function whose parameters are the arguments of a verb; it returns the exit code, or None for 0."""

_USER_ERRORS = (ValueError, OSError, ImportError)
"""Exceptions whose message is all that is shown; any other is a bug, whose traceback is written to a file."""
_EXIT_FAILED = 1
_EXIT_INTERRUPTED = 130
"""Exit status that shells report for a program that was stopped by Ctrl-C."""


class VerbCommand(TyperCommand):
    """A verb in the command line; its help names an argument without the type in Python that typer adds."""

    def format_options(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401  # their place differs by typer's version
        """Write the arguments, then the options."""
        shown = [(param, record) for param in self.get_params(ctx) if (record := param.get_help_record(ctx))]
        arguments = [
            (param.metavar or name, text) for param, (name, text) in shown if param.param_type_name != "option"
        ]
        options = [record for param, record in shown if param.param_type_name == "option"]
        for title, rows in (("Arguments", arguments), ("Options", options)):
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


class VerbExit(SystemExit):
    """The end of a verb that has run, with its exit code; typer ends after help or wrong usage by SystemExit itself."""

    code: int


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb.

    Args:
        arguments: The command line; the process's own by default.

    Returns:
        The verb's exit code: mostly 0, or 1 after a message on stderr, or after a signal its status, such as 130.

    Raises:
        SystemExit: After ``--help`` or ``--version``, with code 0; after a message about wrong usage, with code 2.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    keep_logs_plain()
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # file names may be in no encoding
    given = sys.argv[1:] if arguments is None else list(arguments)  # given to typer, which would expand patterns
    try:
        code = get_command(build_app(_plugin_verbs()))(given, prog_name="cxr", standalone_mode=False)
    except VerbExit as end:
        return end.code
    except typer.Abort:
        raise SystemExit(_EXIT_FAILED) from None
    except Exception as error:
        if hasattr(error, "format_message"):  # typer's own, whose classes are elsewhere in other versions of it
            _refuse_usage(error, given)
        return _fail(error)  # of a trusted package
    raise SystemExit(code)


def _refuse_usage(error: Any, arguments: Sequence[str]) -> NoReturn:  # noqa: ANN401
    """Print typer's message about wrong usage, which quotes the command line; without one it is the help."""
    if not arguments:
        error.show()
        raise SystemExit(error.exit_code)
    if (context := getattr(error, "ctx", None)) is not None:
        for line in (*context.get_usage().splitlines(), f"Try '{context.command_path} --help' for help.", ""):
            say_error(line)
    say_error(f"Error: {error.format_message()}")
    raise SystemExit(error.exit_code)


def build_app(extra_verbs: Iterable[Verb] = ()) -> typer.Typer:
    """The command line, made from the functions of the verbs.

    Args:
        extra_verbs: Functions beside those of ``cli/verbs``, made like them.

    Raises:
        ValueError: If two verbs have the same name.
    """
    app = typer.Typer(
        add_completion=False,
        # Without a default of the command's own --help, typer imports pydantic (0.2 s) for the help of a verb.
        context_settings={"help_option_names": ["--help", "-h"], "default_map": {"help": False}},
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        subcommand_metavar="COMMAND ...",
    )
    app.callback()(_cxr)
    for verb in _with_different_names([*_find_verbs(), *extra_verbs]):
        settings = getattr(getmodule(verb), "CONTEXT_SETTINGS", None)
        app.command(cls=VerbCommand, context_settings=settings)(_exit_with_code(verb))
    return app


def _find_verbs() -> Iterator[Verb]:
    for module in iter_modules(verbs.__path__):
        yield getattr(import_module(f"{verbs.__name__}.{module.name}"), module.name)


def _plugin_verbs() -> tuple[Verb, ...]:
    load_plugins()
    return registered_verbs()


def _with_different_names(functions: Sequence[Verb]) -> Sequence[Verb]:
    names = [function.__name__ for function in functions]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"Expected verbs with different names but two have the name '{twice[0]}'. Rename one.")
    return functions


def _print_versions(requested: bool) -> None:
    if requested:
        versions = resolve_name("cxr_lightning.utils.versions:versions")()
        text = " ".join(f"{name} {version}" for name, version in versions.items())
        for line in textwrap.wrap(text, shutil.get_terminal_size().columns - 2):
            say(line)
        raise typer.Exit


def _cxr(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_versions, is_eager=True, help="Show versions and exit.")
    ] = False,
) -> None:
    """Tools for chest X-ray classifiers. Not for clinical use."""


def _exit_with_code(verb: Verb) -> Callable[..., NoReturn]:
    @wraps(verb)
    def run(**values: Any) -> NoReturn:  # noqa: ANN401  # of the verb's parameters
        closed: list[StreamName] = [] if sys.stdout else ["stdout"]
        with output_may_end("stderr", *closed):
            code = _run(partial(verb, **values))
        raise VerbExit(code)

    return run


def _run(job: Callable[[], int | None]) -> int:
    """The exit code of a verb; a user's mistake is one line."""
    try:
        with stop_on_signals():
            code = job() or 0
            sys.stdout.flush()
    except Stopped as stopped:
        say_error(_with_notes(stopped))
        return 128 + stopped.signum
    except BrokenPipeError:  # the reader, such as `| head`, has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # keeps Python from an error of its own at exit
        return _EXIT_FAILED
    except (typer.Exit, typer.Abort, typer.BadParameter):  # typer's own, for its messages
        raise
    except KeyboardInterrupt as interrupt:
        say_error(_with_notes(interrupt, "interrupted"))
        return _EXIT_INTERRUPTED
    except Exception as error:
        return _fail(error)
    return code


def _with_notes(error: BaseException, text: str = "") -> str:
    """What ended a verb, and what the verb's job says about that."""
    return "; ".join([text or str(error), *getattr(error, "__notes__", [])])


def _fail(error: Exception) -> int:
    """Print an error as one line, after its traceback if the environment asks for that; returns the exit code."""
    if shows_tracebacks():
        for line in "".join(traceback.format_exception(error)).rstrip("\n").split("\n"):
            say_error(line)
    if isinstance(error, MemoryError):
        reason = message_of(error) or type(error).__name__
        text = f"Expected more memory but there is none left ({reason}). Stop other programs."
    elif isinstance(error, ModuleNotFoundError) and str(error) == f"No module named '{error.name}'":
        text = (
            f"Expected the package '{error.name}' but it is not installed. Install cxr-lightning with all that it "
            "depends on; without that, ONNX files alone are predicted and explained."
        )
    elif isinstance(error, _USER_ERRORS):
        shown = explain_write_error(error, {}) if isinstance(error, OSError) else error
        text = message_of(shown) or type(error).__name__
    else:
        text = describe_unexpected(error)
    say_error(f"error: {text}")
    return _EXIT_FAILED
