"""Data settings that contradict each other or the data set's layout, as far as they are known without reading it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cxr_lightning.app.number_rules import DATA_RANGES, is_number, numbers_out_of_range
from cxr_lightning.labels import NIH_LABELS, check_labels
from cxr_lightning.utils.suggestions import did_you_mean

_LAYOUTS = "cxr_lightning.data.datasets."
_NIH_FILES = ("NIHLayout", "PhantomLayout")
"""Layouts whose findings and views are NIH's, and whose files leave validation open."""
_NIH_VIEWS = ("AP", "PA")


def layout_of(data: Mapping[str, Any]) -> str | None:
    """Class name of a layout of this package; None for another one."""
    source = data.get("source")
    target = str(source.get("_target_")) if isinstance(source, Mapping) else ""
    return target.rpartition(".")[2] if target.startswith(_LAYOUTS) else None


def trained_labels(data: Mapping[str, Any]) -> Sequence[str] | None:
    """The findings that are trained, in any order; None if only the data tell them."""
    labels = data.get("labels")
    if isinstance(labels, list | tuple):
        return [str(label) for label in labels]
    return NIH_LABELS if layout_of(data) in (*_NIH_FILES, "WalkthroughLayout") else None


def data_contradictions(data: Mapping[str, Any]) -> Iterator[str]:
    """Describe numbers out of their range, unknown findings and views, and settings that contradict each other.

    Args:
        data: The data's node, which may have values of a wrong type.
    """
    yield from numbers_out_of_range(data, DATA_RANGES, "data.")
    yield from _label_problems(data)
    yield from _view_problems(data)
    val, test = data.get("val_fraction"), data.get("test_fraction")
    if data.get("split") == "patient" and is_number(val) and is_number(test) and val + test >= 1:
        yield (
            "Expected `data.val_fraction` and `data.test_fraction` to leave images for training with "
            f"data.split=patient but got {val} and {test}. Lower them."
        )


def training_data_contradictions(data: Mapping[str, Any]) -> Iterator[str]:
    """Describe settings that leave a split of a training without images, or contradict how images are loaded.

    Args:
        data: The data's node.
    """
    if data.get("split") == "all":
        yield "Expected training images but 'data.split=all' makes test images of all of them. Leave it out."
    open_splits = {
        "patient": ("val_fraction", "test_fraction"),
        "official": ("val_fraction",) if layout_of(data) in _NIH_FILES else (),
    }
    for name in open_splits.get(str(data.get("split")), ()):
        if data.get(name) == 0:
            yield f"Expected images in each split but 'data.{name}' is 0, which leaves none. Raise it."
    if data.get("on_bad_image") == "skip" and data.get("cache") is False:
        yield (
            "Expected prepared images with 'data.on_bad_image=skip' but they are off. Set 'data.cache=true', or "
            "replace the bad images."
        )


def _label_problems(data: Mapping[str, Any]) -> Iterator[str]:
    labels = data.get("labels")
    if not isinstance(labels, list | tuple):
        return
    try:
        check_labels(labels)
    except ValueError as error:
        yield str(error)
        return
    if layout_of(data) not in _NIH_FILES:
        return
    for label in labels:
        if label not in NIH_LABELS:
            hint = did_you_mean(label, NIH_LABELS) or f"They are {', '.join(NIH_LABELS)}."
            yield f"Expected NIH's findings as 'data.labels' but got '{label}'. {hint}"


def _view_problems(data: Mapping[str, Any]) -> Iterator[str]:
    views = data.get("views")
    if not isinstance(views, list | tuple):
        return
    source, layout = data.get("source"), layout_of(data)
    if not views:
        yield "Expected view positions in 'data.views' but it is an empty list. Name some, such as [PA], or set null."
    elif layout == "WalkthroughLayout":
        yield "Expected no 'data.views' with data=walkthrough: its files do not tell them. Leave it out."
    elif layout == "CsvLayout" and isinstance(source, Mapping) and source.get("view_column") is None:
        yield "Expected 'data.source.view_column' beside 'data.views' but it is null. Name the column, or leave it out."
    elif layout in _NIH_FILES and {str(view).upper() for view in views} - {*_NIH_VIEWS}:
        yield f"Expected views among {list(_NIH_VIEWS)} in 'data.views' but got {list(views)}. Correct them."
