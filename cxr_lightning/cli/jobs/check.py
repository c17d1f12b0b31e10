"""The job of cxr check."""

import argparse

from cxr_lightning.checkpoints.installation_check import difference_from_reference, refuse_difference
from cxr_lightning.inference.predictor import load_model
from cxr_lightning.utils.versions import versions


def check(parsed: argparse.Namespace) -> int:
    """Compare the reference image's probabilities with the stored ones, and print which versions differ."""
    model = load_model(parsed.model, device=parsed.device)
    difference = difference_from_reference(model.classifier)
    saved = model.classifier.metadata.get("versions", {})
    current = versions()
    print(f"largest difference of {len(model.labels)} probabilities on {model.classifier.device}: {difference:.1e}")
    for name in sorted(name for name in current if saved.get(name, current[name]) != current[name]):
        print(f"  {name}: {current[name]} here, {saved[name]} when it was saved")
    refuse_difference(difference)
    return 0
