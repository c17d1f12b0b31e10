"""Settings of evaluate.py: every plain key with its type, default, meaning and rule.

``conf/evaluate.yaml`` repeats the defaults and the meanings for those who read it; a test compares them.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from omegaconf import DictConfig, OmegaConf, open_dict
from pydantic import Field, field_validator

from cxr_lightning.app.config_check import Node, check_config
from cxr_lightning.app.data_contradictions import data_contradictions
from cxr_lightning.app.data_root import apply_root, root_contradictions
from cxr_lightning.app.output_folder import report_in
from cxr_lightning.app.train_settings import Folders
from cxr_lightning.app.value_check import Settings
from cxr_lightning.data.setting_rules import MAX_WORKERS
from cxr_lightning.imaging.reader import Interpolation
from cxr_lightning.labels import UncertainMeaning
from cxr_lightning.metrics.operating_points import parse_rules
from cxr_lightning.utils.command_line import override_key
from cxr_lightning.utils.latest_model import LATEST
from cxr_lightning.utils.paths import file_problem

_REFUSED_DATA_SETTINGS = {
    "image_size": "it is the checkpoint's",
    "interpolation": "it is the checkpoint's",
    "batch_size": "set `batch_size`",
    "cache": "set `cache`",
    "cache_dir": "set `paths.cache_dir`",
    "num_workers": "set `num_workers`",
}
"""Data settings that evaluate.py does not take from ``data``, and where they come from."""
_PREDICTION_SETTINGS = frozenset({"accelerator", "devices", "precision", "batch_size"})


class SourceSettings(Settings):
    """Settings that a bare weight file (.h5, .keras, .safetensors, .pth) lacks; null: the default for its kind."""

    labels: Sequence[str] | None = Field(
        None, description="in the order of its outputs; a Keras file with 14 outputs: the walk-through's"
    )
    preprocessing: Literal["imagenet", "featurewise", "samplewise", "none"] | None = Field(
        None, description="imagenet, featurewise, samplewise, none"
    )
    mean: float | None = Field(
        None,
        description="mean of the training pixels in [0, 255], with featurewise; null: of the data's training images",
    )
    std: float | None = Field(None, description="their standard deviation")
    image_size: int | None = Field(None, description="side of the images in pixels")
    interpolation: Interpolation | None = Field(None, description="nearest, bilinear, bicubic, lanczos")
    final_relu: bool | None = Field(None, description="whether an activation follows the last batch normalization")


class GradCamSettings(Settings):
    """Heat maps in the report, and their scores against annotated boxes."""

    top: int = Field(4, ge=0, description="findings with the highest AUROC; 0: no heat maps")
    images: Sequence[str] = Field((), description="further images, by Image Index")
    target_layer: Literal["post_relu", "pre_relu"] = Field(
        "post_relu", description="or pre_relu (of a DenseNet), as in the Keras walk-through"
    )
    sanity: int = Field(4, ge=0, description="images for the sanity checks; 0: none")


class EvaluatePaths(Folders):
    """Folders of evaluate.py."""

    output_dir: str | None = Field(None, description="the folder of the report; null: nothing is written")


class EvaluateSettings(Settings):
    """Settings of evaluate.py, and of :func:`cxr_lightning.evaluate`."""

    ckpt: str | None = Field(None, description="a checkpoint of train.py, or latest")
    predictions: str | None = Field(
        None, description="or a CSV with `Image Index` and `prob_<label>` or `<label>`; needs data="
    )
    val_predictions: str | None = Field(
        None,
        description="predictions of images outside the evaluated split, to fit calibration and thresholds on",
    )
    root: str | None = Field(None, description="the data set's folder, if it is not where it was in training")
    split: Literal["test", "val", "train"] = Field("test", description="test, val or train")
    uncertain: UncertainMeaning | Mapping[str, UncertainMeaning] | None = Field(
        None,
        description="what -1 means: ignore (unknown), zeros, ones, or one by finding; null: as in data or training",
    )
    operating_points: Sequence[str] = Field(
        ("youden", "f1", "sensitivity@0.95", "specificity@0.9"), description="thresholds chosen on validation"
    )
    prevalences: Sequence[Annotated[float, Field(gt=0, lt=1)]] = Field(
        (), description="further prevalences for PPV, NPV and alerts"
    )
    replicates: int = Field(1000, ge=2, description="of the bootstrap over patients")
    seed: int = Field(0, ge=0, description="of the bootstrap, the folds of the calibration and the sanity checks")
    allow_missing: bool = Field(False, description="score predictions that do not cover the split")
    save_calibrated: str | None = Field(
        None, description="write a copy of the checkpoint with calibration and operating points"
    )
    accelerator: Literal["auto", "cpu", "gpu", "mps"] = Field("auto", description="auto, cpu, gpu, mps")
    devices: int = Field(1, description="number of devices, one process each; -1: all")
    precision: Literal["float32", "bf16"] = Field(
        "float32", description="or bf16: faster where the processor multiplies it natively, less exact"
    )
    batch_size: int | None = Field(
        None, ge=1, description="null: as in training, so that the numbers repeat to the last digit"
    )
    cache: bool = Field(True, description="decode and resize images once, and keep them in paths.cache_dir")
    num_workers: int | None = Field(
        None,
        ge=0,
        le=MAX_WORKERS,
        description="null: none for prepared images, else one less than the cores, at most 8",
    )
    progress_bar: bool = Field(True, description="show the progress of the prediction")
    source: SourceSettings = SourceSettings()
    gradcam: GradCamSettings = GradCamSettings()
    data: Node | None = None
    paths: EvaluatePaths

    @field_validator("operating_points")
    @classmethod
    def _are_rules(cls, names: Sequence[str]) -> Sequence[str]:
        wrong = []
        for given in ([name] for name in dict.fromkeys(names)):
            try:
                parse_rules(given)
            except ValueError as error:
                wrong.append(str(error))
        if wrong:
            raise ValueError(" ".join(wrong))
        parse_rules(names)
        return names

    def contradictions(self, overrides: Sequence[str] = ()) -> Iterator[str]:
        """Describe settings that contradict each other or have no effect, and outputs that would overwrite a file."""
        yield from self._input_contradictions()
        yield from self._absent_files()
        yield from root_contradictions(self.root, self.data)
        yield from data_contradictions(self.data or {})
        if self.devices != -1 and self.devices < 1:
            yield f"Expected `devices` to be at least 1, or -1 for all, but got {self.devices}. Correct the value."
        if self.gradcam.images and self.gradcam.top == 0:
            yield "Expected `gradcam.top` above 0 beside `gradcam.images`: heat maps are of the best findings."
        yield from self._output_contradictions()
        yield from self._ineffective(overrides)

    def _input_contradictions(self) -> Iterator[str]:
        if bool(self.ckpt) == bool(self.predictions):
            yield (
                "Expected either a checkpoint or predictions but got "
                f"{'both' if self.ckpt else 'neither'}. Set ckpt=FILE (or ckpt=latest), or predictions=FILE data=NAME."
            )
        if self.predictions and self.data is None:
            yield "Expected `data` to say what the predictions are of but it is not set. For example: data=nih."
        if self.val_predictions and not self.predictions:
            yield "Expected `predictions` beside `val_predictions` but got none. A checkpoint predicts both."
        if self.predictions and self.has_source:
            yield "Expected no `source` settings beside `predictions`: they say how a weight file is used."
        if self.uncertain is not None and (self.data or {}).get("uncertain") is not None:
            yield "Expected `uncertain` or `data.uncertain` but both are set. Leave one out."
        if self.allow_missing and not self.predictions:
            yield "Expected `predictions` beside `allow_missing` but got a checkpoint, which predicts all images."

    def _absent_files(self) -> Iterator[str]:
        expected = {
            "ckpt": "a checkpoint or a weight file" if self.ckpt != LATEST else "",
            "predictions": "a predictions file",
            "val_predictions": "a predictions file",
        }
        for name, kind in expected.items():
            path = getattr(self, name)
            if kind and path and "://" not in path and (problem := file_problem(path)):
                yield f"Expected {kind} at '{path}' but {problem}. Correct `{name}`."

    def _output_contradictions(self) -> Iterator[str]:
        if self.save_calibrated and self.split == "val":
            yield "Expected another split for `save_calibrated` than val: nothing is fitted on evaluated images."
        if self.save_calibrated and not self.ckpt:
            yield "Expected a checkpoint to copy for `save_calibrated` but `ckpt` is not set. Set ckpt=FILE."
        if self.save_calibrated and Path(self.save_calibrated).suffix != ".ckpt":
            yield f"Expected a name with .ckpt as `save_calibrated` but got '{self.save_calibrated}'. Correct it."
        if self.save_calibrated and Path(self.save_calibrated).exists():
            yield f"Expected a new file as `save_calibrated` but '{self.save_calibrated}' exists already. Name another."
        if self.paths.output_dir is None:
            return
        if report := report_in(Path(self.paths.output_dir)):
            yield f"Expected a new folder for the report but '{report}' is there already. Name another."

    def _ineffective(self, overrides: Sequence[str]) -> Iterator[str]:
        for override in overrides:
            name = override_key(override)
            setting = name.removeprefix("data.")
            if self.ckpt and name.startswith("data.") and setting in _REFUSED_DATA_SETTINGS:
                yield f"Expected no '{name}' beside `ckpt`: {_REFUSED_DATA_SETTINGS[setting]}. Leave it out."
            if self.predictions and name in _PREDICTION_SETTINGS:
                yield f"Expected no '{name}' beside `predictions`: nothing is predicted. Leave it out."

    @property
    def has_source(self) -> bool:
        """Whether any setting for a bare weight file is given."""
        return any(value is not None for value in vars(self.source).values())


def read_evaluate_settings(
    config: DictConfig, overrides: Sequence[str], known_problems: Sequence[str] = ()
) -> EvaluateSettings:
    """Check a composed ``conf/evaluate.yaml``, and return its settings.

    Args:
        config: The configuration; ``root`` is set in its ``data`` too.
        overrides: The command line's ``key=value``, of which those without an effect are refused.
        known_problems: Problems that are known already, with which the others are told.

    Raises:
        ValueError: If anything is wrong; all of it in one message.
    """
    apply_root(config, overrides)
    data = config.get("data")
    if config.ckpt and OmegaConf.is_dict(data) and OmegaConf.is_missing(data, "labels"):
        with open_dict(config):
            config.data.labels = None  # the checkpoint has them
    return check_config(config, EvaluateSettings, overrides, known_problems)
