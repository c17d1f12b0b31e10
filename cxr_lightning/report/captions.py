"""Captions and file names of heat maps."""

from collections.abc import Iterable, Sequence

from cxr_lightning.explain.results import Explanation, Overlay
from cxr_lightning.utils.html_text import format_probability
from cxr_lightning.utils.safe_names import safe_name, safe_names

GRADCAM_FOLDER = "gradcam"
"""Name of the folder with the figures of heat maps, beside the page."""

_TARGETS = {1.0: "present", 0.0: "absent"}


def gradcam_method(explanation: Explanation) -> str:
    """Description of how the heat maps were computed."""
    return (
        f"Grad-CAM by captum, target layer {explanation.target_layer} of {explanation.backbone}; "
        "positive evidence only, upsampled bilinearly, each map divided by its own maximum"
    )


def gallery_description(explanation: Explanation) -> str:
    """Description of the labels and images whose heat maps are shown."""
    threshold = "the threshold of the operating point youden" if explanation.by_youden else "a probability of 0.5"
    return (
        f"those with the highest AUROC on the {explanation.split} images ({explanation.labels}); of each the most "
        f"confident true positive, false positive and false negative, called positive from {threshold} on"
    )


def alternative_text(overlay: Overlay) -> str:
    """Description of a heat map for screen readers."""
    shown = "no positive evidence" if overlay.empty else "the X-ray, and the same under its heat map"
    boxes = len(overlay.boxes)
    outlined = f", {boxes} annotated {'box' if boxes == 1 else 'boxes'}" if boxes else ""
    return f"{overlay.label}, {overlay.kind}, {overlay_facts(overlay)}: {shown}{outlined}"


def overlay_facts(overlay: Overlay) -> str:
    """Probability, target and image name of a heat map."""
    probability = format_probability(overlay.probability)
    return f"probability {probability}, target {target_name(overlay)}, image {overlay.image_id}"


def target_name(overlay: Overlay) -> str:
    """Name of an overlay's target: ``present``, ``absent`` or ``unknown``."""
    return _TARGETS.get(overlay.target, "unknown")


def overlay_file_names(gallery: Sequence[Overlay]) -> tuple[str, ...]:
    """File names ``<label>_<kind>_<n>.png`` in the gallery's order, valid on any system, unique whatever their case."""
    counts: dict[str, int] = {}
    names = []
    for overlay in gallery:
        stem = f"{safe_name(overlay.label)}_{safe_name(overlay.kind.replace(' ', '-'))}"
        number = counts[stem.lower()] = counts.get(stem.lower(), 0) + 1
        names.append(f"{stem}_{number}.png")
    return tuple(names)


def heatmap_file_names(image_id: str, labels: Iterable[str], *, path: str = "") -> dict[str, str]:
    """File names of one image's heat maps by finding, such as ``00000001_000_Mass.png``.

    Args:
        image_id: The image's name without its suffix.
        labels: All findings of the model, so that a finding's name does not depend on which are drawn.
        path: The image's path, where images of the same name are told apart by it.
    """
    stem = safe_name(image_id, path)
    return {label: f"{stem}_{name}.png" for label, name in safe_names(labels).items()}


def heatmap_row_file_name(image_id: str) -> str:
    """File name of one image's heat maps in a row, such as ``00000001_000.png``."""
    return f"{safe_name(image_id)}.png"
