"""Data settings that contradict each other or the data set's layout, as far as they are known without reading it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from omegaconf import MISSING

from cxr_lightning.app.number_rules import DATA_RANGES, is_number, numbers_out_of_range
from cxr_lightning.app.written_arguments import written_attribute
from cxr_lightning.data.label_meaning import check_label_map, check_meanings
from cxr_lightning.data.metadata_cells import parse_view
from cxr_lightning.data.setting_rules import flags_problem, root_problem, skipping_problem
from cxr_lightning.labels import check_labels
from cxr_lightning.utils.suggestions import did_you_mean


def layout_attribute(data: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401  # any plain value
    """What the layout's class says of its files, as far as its source tells; see ``DatasetLayout``.

    Args:
        data: The data's node.
        name: Name of the attribute.
    """
    source = data.get("source")
    return written_attribute(str(source.get("_target_")), name) if isinstance(source, Mapping) else None


def trained_labels(data: Mapping[str, Any]) -> Sequence[str] | None:
    """The findings that are trained, in output order; None if only the data tell them."""
    labels = data.get("labels")
    if isinstance(labels, list | tuple):
        return [str(label) for label in labels]
    default: Sequence[str] | None = layout_attribute(data, "default_labels")
    return default


def data_contradictions(data: Mapping[str, Any]) -> Iterator[str]:
    """Describe numbers out of their range, unknown findings and views, and settings that contradict each other.

    Args:
        data: The data's node, which may have values of a wrong type.
    """
    yield from numbers_out_of_range(data, DATA_RANGES, "data.")
    yield from _absent_folder(data)
    yield from _label_problems(data)
    yield from _meaning_problems(data)
    yield from _view_problems(data)
    val, test = data.get("val_fraction"), data.get("test_fraction")
    if data.get("split") == "patient" and is_number(val) and is_number(test) and val + test >= 1:
        yield (
            "Expected `data.val_fraction` and `data.test_fraction` to leave images for training with "
            f"data.split=patient but got {val} and {test}. Lower them."
        )


def _absent_folder(data: Mapping[str, Any]) -> Iterator[str]:
    """A folder that is not there, of a layout that needs it."""
    root = data.get("root")
    if not isinstance(root, str) or root == MISSING or not layout_attribute(data, "needs_folder"):
        return
    if problem := root_problem(root):
        yield problem


def training_data_contradictions(data: Mapping[str, Any]) -> Iterator[str]:
    """Describe settings that leave a split of a training without images, or contradict how images are loaded.

    Args:
        data: The data's node.
    """
    if data.get("split") == "all":
        yield "Expected training images but 'data.split=all' makes test images of all of them. Leave it out."
    open_splits = {
        "patient": ("val_fraction", "test_fraction"),
        "official": ("val_fraction",) if layout_attribute(data, "has_validation_split") is False else (),
    }
    for name in open_splits.get(str(data.get("split")), ()):
        if data.get(name) == 0:
            yield f"Expected images in each split but 'data.{name}' is 0, which leaves none. Raise it."
    if problem := skipping_problem(data.get("on_bad_image"), cache=data.get("cache")):
        yield problem
    if problem := flags_problem(data.get("on_flag"), cache=data.get("cache")):
        yield problem


def _label_problems(data: Mapping[str, Any]) -> Iterator[str]:
    labels = data.get("labels")
    if not isinstance(labels, list | tuple):
        return
    try:
        check_labels(labels)
    except ValueError as error:
        yield str(error)
        return
    known = None if data.get("label_map") else layout_attribute(data, "known_labels")
    for label in labels:
        if known is not None and label not in known:
            hint = did_you_mean(label, known) or f"They are {', '.join(known)}."
            yield f"Expected findings of the data set as 'data.labels' but got '{label}'. {hint}"


def _meaning_problems(data: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with ``label_map`` and ``uncertain``."""
    label_map, uncertain = data.get("label_map"), data.get("uncertain")
    if not isinstance(label_map, Mapping | None) or not isinstance(uncertain, str | Mapping | None):
        return  # told as wrong types
    try:
        check_meanings(label_map, None)  # what is uncertain is told by its type
    except ValueError as error:
        yield str(error)
    known, labels = layout_attribute(data, "known_labels"), data.get("labels")
    if label_map and known is not None and isinstance(labels, list | tuple | None):
        try:
            check_label_map(label_map, known, labels)
        except ValueError as error:
            yield str(error)


def _view_problems(data: Mapping[str, Any]) -> Iterator[str]:
    views = data.get("views")
    if not isinstance(views, list | tuple):
        return
    source, known = data.get("source"), layout_attribute(data, "known_views")
    argument = layout_attribute(data, "views_argument")
    if not views:
        yield "Expected view positions in 'data.views' but it is an empty list. Name some, such as [PA], or set null."
    elif known == ():
        yield "Expected no 'data.views' with files that do not tell them. Leave it out."
    elif argument is not None and isinstance(source, Mapping) and source.get(argument) is None:
        yield f"Expected 'data.source.{argument}' beside 'data.views' but it is null. Set it, or leave both out."
    elif known is not None and {parse_view(str(view)) for view in views} - {*known}:
        yield f"Expected views among {list(known)} in 'data.views' but got {list(views)}. Correct them."
