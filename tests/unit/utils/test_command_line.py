"""A setting that is printed can be pasted into a shell: Hydra then reads the text that was meant."""

import subprocess

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from cxr_lightning.utils.command_line import hydra_value, pasteable_override

PLAIN = ("/runs/2024-01-01_12-00/last.ckpt", "best.ckpt", "../a+b/c@d%e.ckpt", "-x", "on")
SPECIAL = (
    *(
        "a=b.ckpt",
        "a b",
        "two  spaces",
        " x ",
        "[x]",
        "{x}",
        "(x)",
        "a,b",
        "a:b",
        "é.ckpt",
        "胸部/last.ckpt",
        "~/x",
        "",
    ),
    *("it's", 'a"b', "both'\"", 'a\\"b', "a\\b", "a\\", "a\\\\", 'x\\\\"y\\', "$HOME/x", "`id`", "*.ckpt", "a;b&c|d#e"),
    *("a${b}c", "\\${b}", "null", "True", "007", "1e5", "1_0", ".5", "inf", "a\tb", "!x", "a?b"),
)


def read_by_hydra(override: str) -> object:
    """The value that a configuration has after this override."""
    value = OverridesParser.create().parse_overrides([override])[0].value()
    return OmegaConf.create({"b": "interpolated", "key": value}).key


@pytest.mark.parametrize("text", [*PLAIN, *SPECIAL])
def test_a_shell_and_hydra_read_what_was_meant(text: str) -> None:
    pasted = pasteable_override("group.key", text)
    done = subprocess.run(["sh", "-c", f"printf %s {pasted}"], capture_output=True, check=True)
    assert read_by_hydra(done.stdout.decode()) == text
    assert (pasted == f"group.key={text}") == (text in PLAIN)


@pytest.mark.parametrize(
    "mapping",
    [
        {"Pleural Effusion": "Effusion"},
        {"A": "a b", "B": "true"},
        {"Frontal/Lateral": "x"},
        {"a,b": "1", "c:d": None},
        {"(x)": "y", "e=f": "[z]"},
    ],
)
def test_a_mapping_is_what_hydra_reads(mapping: dict[str, object]) -> None:
    assert read_by_hydra(f"key={hydra_value(mapping)}") == mapping
