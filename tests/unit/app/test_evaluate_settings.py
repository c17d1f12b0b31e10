"""evaluate.py's settings stand at one address; conf/evaluate.yaml repeats them for its readers."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import compose
from omegaconf import OmegaConf
from pydantic import BaseModel

from cxr_lightning.app.evaluate_settings import EvaluateSettings, SourceSettings, read_evaluate_settings
from cxr_lightning.checkpoints.foreign.model_settings import ForeignSettings

FILE = Path(__file__).parents[3] / "conf" / "evaluate.yaml"
COMPOSED = {"data", "paths"}
"""Fields that come from groups of their own."""


def fields(settings: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any, str]]:
    """Dotted key, default and meaning of each plain field."""
    for name, field in settings.model_fields.items():
        kind = field.annotation
        if prefix == "" and name in COMPOSED:
            continue
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield f"{prefix}{name}", None, (kind.__doc__ or "").strip()
            yield from fields(kind, f"{prefix}{name}.")
        else:
            default = list(field.default) if isinstance(field.default, tuple) else field.default
            yield f"{prefix}{name}", default, field.description or ""


def comments() -> dict[str, str]:
    """Comment of each key in the file; that of a group is above it."""
    found, group, above = {}, "", ""
    for line in FILE.read_text().splitlines():
        if match := re.fullmatch(r"# (.*)", line):
            above = f"{above} {match[1]}".strip()
        elif match := re.fullmatch(r"(\w+):", line):
            group = f"{match[1]}."
            found[match[1]] = above
        elif match := re.fullmatch(r"( *)(\w+): ([^#]*?)(?: # (.*))?", line):
            key = f"{group}{match[2]}" if match[1] else match[2]
            found[key] = match[4] or ""
        if not line.startswith("#"):
            above = ""
    return found


def test_the_file_has_the_keys_defaults_and_meanings_of_the_settings() -> None:
    content = OmegaConf.load(FILE)
    described = comments()
    del described["defaults"]
    assert {key for key in described if not key.startswith("defaults.")} == {
        key for key, _, _ in fields(EvaluateSettings)
    }
    for key, default, meaning in fields(EvaluateSettings):
        assert described[key] == meaning, key
        value = OmegaConf.select(content, key)
        if not OmegaConf.is_dict(value):
            assert (list(value) if OmegaConf.is_list(value) else value) == default, key
        assert meaning, key


def test_the_settings_of_a_weight_file_are_those_of_its_reader() -> None:
    assert set(SourceSettings.model_fields) == set(ForeignSettings.__dataclass_fields__)


@pytest.mark.usefixtures("hydra_conf")
class TestReading:
    """A composed configuration becomes one typed object."""

    def composed(self, *overrides: str) -> EvaluateSettings:
        config = compose("evaluate", [*overrides, "paths.output_dir=out"])
        return read_evaluate_settings(config, overrides)

    def test_values_have_their_types(self) -> None:
        settings = self.composed("ckpt=latest", "prevalences=[0.1]", "gradcam.top=2", "source.mean=1.5")
        assert (settings.ckpt, list(settings.prevalences), settings.gradcam.top) == ("latest", [0.1], 2)
        assert settings.has_source
        assert settings.data is None

    @pytest.mark.parametrize(
        ("overrides", "message"),
        [
            (["ckpt=a", "replicates=many"], "int as 'replicates' but got 'many'"),
            (["ckpt=a", "batch_size=0"], "`batch_size` to be at least 1 but got 0"),
            (["ckpt=a", "num_workers=-1"], "`num_workers` to be at least 0"),
            (["ckpt=a", "operating_points=[youdn]"], "youdn"),
            (["ckpt=a", "operating_points=youden"], "list of str as .operating_points."),
            (["ckpt=a", "prevalences=[0]"], "`prevalences` to be above 0 but got 0"),
            (["ckpt=a", "gradcam.sanity=1.5"], "int as 'gradcam.sanity' but got 1.5"),
            (["ckpt=a", "+gradcam.tops=1"], "'gradcam.tops'. Did you mean 'gradcam.top'"),
            (["ckpt=a", "source.final_relu=1"], "bool or null as 'source.final_relu' but got 1"),
            (["ckpt=a", "devices=0"], "`devices` to be at least 1, or -1"),
            (["ckpt=a", "cache=yes please"], "bool as 'cache'"),
            (["predictions=a", "data=nih", "root=x", "batch_size=3"], "no 'batch_size' beside `predictions`"),
        ],
    )  # fmt: skip
    def test_wrong_ones_are_refused_by_name(self, overrides: list[str], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            self.composed(*overrides)

    def test_a_path_that_is_no_file_says_why_beside_other_problems(self, tmp_path: Path) -> None:
        (tmp_path / "link.csv").symlink_to(tmp_path / "gone.csv")
        paths = (f"predictions={tmp_path}", f"val_predictions={tmp_path}/link.csv", "data=nih", f"root={tmp_path}")
        with pytest.raises(ValueError, match="3 are wrong") as caught:
            self.composed(*paths, "seed=-1")
        assert f"predictions file at '{tmp_path}' but it is a folder. Correct `predictions`" in str(caught.value)
        assert "link.csv' but it is a link to a file that is not there. Correct `val_predictions`" in str(caught.value)
        with pytest.raises(ValueError, match=r"weight file at '/dev/null' but it is no regular file\. Correct `ckpt`"):
            self.composed("ckpt=/dev/null")

    def test_all_problems_are_in_one_message(self) -> None:
        with pytest.raises(ValueError, match="6 are wrong") as caught:
            self.composed("ckpt=a", "predictions=b", "val_predictions=c", "gradcam.images=[d]", "gradcam.top=0")
        assert "got both" in str(caught.value)
        assert "`gradcam.top`" in str(caught.value)
