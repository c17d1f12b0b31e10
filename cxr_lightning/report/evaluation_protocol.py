"""The protocol of an evaluation as text: data, selection, fitting, and whether the numbers are comparable."""

from collections.abc import Mapping
from typing import Any

from cxr_lightning.evaluation.results import Evaluation
from cxr_lightning.labels import describe_uncertain
from cxr_lightning.report.wording import CRITERIA, sentence, view_names

_VERDICTS = {
    True: "comparable with official-split results",
    False: "not comparable with official-split results",
    None: "comparability with official-split results is unknown",
}


def protocol_facts(evaluation: Evaluation) -> dict[str, str]:
    """Descriptions of what was evaluated, by name, in the order of the report."""
    data, settings = evaluation.data, evaluation.data["settings"]
    fitted_on = evaluation.fitted_on
    return {
        "predictions": evaluation.source,
        "data": f"{data['source']}, {'synthetic' if data['synthetic'] else 'real'}"
        + (", a subset" if data["subset"] else ""),
        "split": f"{evaluation.split} (data.split={settings['split']}, data.seed={settings['seed']})",
        "label files": ", ".join(f"{name} (sha256 {sha256[:12]})" for name, sha256 in data["files"].items()),
        "views": view_names(settings["views"]),
        "images": _images(evaluation),
        **_label_facts(data),
        "training data": _training_data(evaluation.model),
        "selection": _selection(evaluation.model),
        "calibration and thresholds": f"fitted on {fitted_on}" if fitted_on else "none fitted",
    }


def comparability_reasons(evaluation: Evaluation) -> list[str]:
    """The criteria that are not met or cannot be checked, with what was found."""
    return [f"{CRITERIA[criterion.code]}: {sentence(criterion.detail)}" for criterion in evaluation.comparability.unmet]


def verdict(evaluation: Evaluation) -> str:
    """Whether the numbers are comparable with published ones and, if not, why."""
    unmet = evaluation.comparability.unmet
    parts = [_VERDICTS[evaluation.comparability.comparable]]
    for title, met in (("conditions not met", False), ("not known", None)):
        listed = [f"{CRITERIA[one.code]} ({sentence(one.detail)})" for one in unmet if one.met is met]
        parts += [f"{title}: {', '.join(listed)}"] if listed else []
    return "; ".join(parts)


def _images(evaluation: Evaluation) -> str:
    data = evaluation.data
    parts = [f"{evaluation.images:,} of {evaluation.patients:,} patients"]
    parts += [f"{evaluation.missing:,} of the split without a prediction"] if evaluation.missing else []
    parts += [f"{data['skipped']:,} listed but not on disk"] if data["skipped"] else []
    parts += [f"{data['rejected']:,} left out because of what is in their files"] if data["rejected"] else []
    parts += (
        [f"{data['leaked']:,} dropped because their patient, or an equal image, is in a later split"]
        if data["leaked"]
        else []
    )
    return ", ".join(parts)


def _label_facts(data: Mapping[str, Any]) -> dict[str, str]:
    """What is to be known of the labels and the files; nothing where there is nothing."""
    facts = {
        "uncertain labels (-1) in the label files": _uncertain(data),
        "renamed label columns": ", ".join(
            f"{old}: {new}" for old, new in (data["settings"].get("label_map") or {}).items()
        ),
        "remarks on the files": "; ".join(data.get("remarks", ())),
    }
    return {name: text for name, text in facts.items() if text}


def _uncertain(data: Mapping[str, Any]) -> str:
    return describe_uncertain(
        {label: (entry["images"], entry["taken"]) for label, entry in data.get("uncertain", {}).items()}
    )


def _training_data(model: Mapping[str, Any]) -> str:
    if "data" not in model:
        return "unknown"
    data = model["data"]
    split = data["splits"].get("train", {"images": 0, "patients": 0})
    kind = "synthetic" if data["synthetic"] else "real"
    return (
        f"{data['source']}, {kind}, data.split={data['settings']['split']}: {split['images']:,} images of "
        f"{split['patients']:,} patients{', a subset' if data['subset'] else ''}; "
        f"{f'uncertain labels (-1): {uncertain}; ' if (uncertain := _uncertain(data)) else ''}"
        f"initial weights: {model.get('initial_weights', 'unknown') or 'random'}"
    )


def _selection(model: Mapping[str, Any]) -> str:
    if not model:
        return "unknown"
    monitor = model.get("monitor")
    return f"epochs compared by {monitor}, on validation images" if monitor else "not known"
