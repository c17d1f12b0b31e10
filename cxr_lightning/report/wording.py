"""The sentences of reports: the text of every :class:`~cxr_lightning.evaluation.statements.Statement`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cxr_lightning.evaluation.results import Evaluation
from cxr_lightning.evaluation.statements import Statement
from cxr_lightning.metrics.bootstrap import CONFIDENCE_LEVEL

DIFFERENT_VALIDATION = "The jobs were validated on different images: their numbers do not compare."


def sentence(statement: Statement | None) -> str:
    """Text of a statement; empty for None.

    Example:
        >>> sentence(Statement("missing_predictions", {"missing": 1200}))
        '1,200 images of the split have no prediction and are left out.'
    """
    if statement is None:
        return ""
    template = SENTENCES[statement.code]
    return template.format(**statement.values) if isinstance(template, str) else template(**statement.values)


def data_title(data: Mapping[str, Any], split: str = "test", images: int | None = None) -> str:
    """Title of a figure or table, which names its data.

    Args:
        data: A run's data record.
        split: Split whose images are counted.
        images: Number of images; by default all of the split.

    Example:
        >>> data_title({"source": "phantom", "synthetic": True, "subset": True, "splits": {"test": {"images": 400}}})
        'SYNTHETIC DATA (phantom), subset; 400 test images'
    """
    kind = f"SYNTHETIC DATA ({data['source']})" if data["synthetic"] else f"data: {data['source']}"
    subset = ", subset" if data["subset"] else ""
    count = data["splits"].get(split, {"images": 0})["images"] if images is None else images  # empty ones are absent
    return f"{kind}{subset}; {count:,} {split} images"


def evaluation_title(evaluation: Evaluation) -> str:
    """Title of an evaluation, which names its data and always states whether it is synthetic."""
    title = data_title(evaluation.data, evaluation.split, evaluation.images)
    unmarked = evaluation.synthetic and "SYNTHETIC" not in title
    return f"SYNTHETIC DATA. {title}" if unmarked else title


def sweep_title(sources: Sequence[str], synthetic: bool) -> str:
    """Title of a sweep's leaderboard, which names its data."""
    return f"{'SYNTHETIC DATA' if synthetic else 'data'}: {', '.join(sources)}"


def validation_source(images: int, patients: int) -> str:
    """Description of the validation images to which post-processing was fitted."""
    return f"{images:,} validation images of {patients:,} patients"


def interval_method() -> str:
    """Description of how intervals are computed."""
    return f"{100 * CONFIDENCE_LEVEL:g} % percentile interval of a bootstrap over patients"


def _list_counts(images: Mapping[str, int]) -> str:
    return ", ".join(f"{label} ({count})" for label, count in images.items())


def _undefined(labels: Sequence[str]) -> str:
    return f"Without positive or without negative images, so n/a and not in the means: {', '.join(labels)}."


def _untrained(labels: Sequence[str]) -> str:
    listed = ", ".join(labels)
    return f"Without positive or without negative training images, so not trained, n/a and not in the means: {listed}."


def _few_images(minimum: int, images: Mapping[str, int]) -> str:
    return f"Fewer than {minimum} positive, or negative, images, so that AUROC says little: {_list_counts(images)}."


def _few_for_thresholds(minimum: int, images: Mapping[str, int]) -> str:
    return f"Thresholds of these findings rest on fewer than {minimum} positive images: {_list_counts(images)}."


def _views(views: Sequence[str] | None) -> str:
    return f"views: {view_names(views)}"


def view_names(views: Sequence[str] | None) -> str:
    """Names of the view positions in the data; None stands for all."""
    return "all" if views is None else ", ".join(views)


def _findings(absent: Sequence[str], other: Sequence[str]) -> str:
    parts = [f"without {', '.join(absent)}"] if absent else []
    parts += [f"with {', '.join(other)}"] if other else []
    return "; ".join(parts) or "all 14 findings"


def _metadata_baseline(images: int) -> str:
    return "logistic model of view, age and sex" + (f", fitted on {images:,} training images" if images else "")


SENTENCES: Mapping[str, str | Callable[..., str]] = {
    # warnings
    "training_images": "These are training images: the numbers say what was memorised, not how good the model is.",
    "epoch_chosen_on_val": "The epoch was chosen on these validation images: the numbers are optimistic.",
    "undefined_auroc": _undefined,
    "untrained_labels": _untrained,
    "no_probabilities": lambda labels: (
        f"The predictions hold no probability for these, so n/a and not in the means: {', '.join(labels)}."
    ),
    "few_images": _few_images,
    "few_for_thresholds": _few_for_thresholds,
    "only_zeros_and_ones": (
        "Every probability is exactly 0 or 1: these look like decisions, or like the truth itself."
    ),
    "missing_predictions": "{missing:,} images of the split have no prediction and are left out.",
    "at_chance": "The mean AUROC is not above what targets dealt out at random give.",
    "overlap_train": (
        "{count:,} of the {images:,} evaluated images are of patients that the model was trained on: the numbers are "
        "optimistic."
    ),
    "overlap_val": (
        "{count:,} of the {images:,} evaluated images are of patients that epochs were compared on, and perhaps "
        "thresholds and calibration fitted: the numbers are optimistic."
    ),
    "overlap_unknown": (
        "Whether the model was trained on these images is not known: the label or list files have changed."
    ),
    "labels_without_column": lambda labels: f"The predictions have no column for {', '.join(labels)}.",
    # why nothing was fitted
    "evaluated_are_validation": "the evaluated images are the validation images themselves",
    "no_validation_images": (
        "the data has no validation images, and the checkpoint carries nothing that was fitted earlier"
    ),
    "no_validation_predictions": "no predictions of validation images were given (val_predictions=FILE)",
    # baselines
    "metadata_baseline": _metadata_baseline,
    "no_training_table": "there is no table of training images other than the evaluated ones",
    "no_metadata_columns": "the label file has no view, age or sex",
    "shuffled_baseline": (
        "targets dealt out to the images at random, {shuffles} times; the range is that of 95 % of them"
    ),
    "no_defined_finding": "no finding has both positives and negatives",
    # comparability: details
    "synthetic": "synthetic images",
    "real": "real images",
    "views": _views,
    "findings": _findings,
    "other_split": "the evaluated split is {split}",
    "official_list_complete": "all {images:,} images of NIH's test_list.txt",
    "official_list_missing": (
        "{missing:,} images were allowed to be missing (allow_missing=true); {images:,} images, where NIH's "
        "test_list.txt has {official:,}"
    ),
    "official_list_other": (
        "other images than NIH's test_list.txt: {images:,} images, where NIH's test_list.txt has {official:,}"
    ),
    "labels_not_checked": "checked only where the test list is complete",
    "labels_v2020": "those of the v2020 edition",
    "labels_2017": "the 2017 edition's labels cannot be checked here; the v2020 edition's can",
    "labels_differ": "they differ from the v2020 edition's on these images",
    "predictions_unknown": "what these predictions were trained and selected on is not known",
    "weights_unknown": "what these weights were trained and selected on is not known",
    "initial_weights_unknown": "what the initial weights ({weights}) were trained on is not known",
    "trained_on_synthetic": "trained on synthetic images",
    "trained_on_other_split": "trained with data.split={split}, so on images of the official test list",
    "trained_on_official": "trained on the official training list; epochs compared on images of it",
    "lists_not_official": "the split lists of training were not NIH's own files",
    "source_unknown": "whether {source} holds images of the official test list is not known",
}
"""Templates of sentences, or functions that return sentences, by the statement's code."""

CRITERIA: Mapping[str, str] = {
    "real_images": "real images",
    "official_test_list": "official test list complete",
    "official_labels": "NIH's own labels",
    "all_views": "all views",
    "all_findings": "all 14 findings",
    "untouched_test": "nothing trained or selected on test images",
}
"""Names of the criteria of comparability, by code."""
