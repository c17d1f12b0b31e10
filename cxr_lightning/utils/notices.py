"""What everything that leaves this program says about itself."""

from typing import Final

NOT_FOR_CLINICAL_USE: Final = "Not for clinical use."


def model_title(synthetic: bool) -> str:
    """Title of figures of a model that was trained on synthetic images; empty otherwise."""
    return "TRAINED ON SYNTHETIC DATA" if synthetic else ""
