"""cxr check: does this installation compute what the one did that saved a model?"""

import argparse


def add(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb."""
    verb = verbs.add_parser(
        "check",
        help="compare this installation with the one that saved a model",
        description="Compute the model's reference picture again, a synthetic radiograph that its file carries, and "
        "compare the probabilities with those stored there. The exit code is 1 if any differs by over 0.0001.",
    )
    verb.add_argument("model", metavar="MODEL", help="a checkpoint")
    verb.add_argument("--device", metavar="NAME", help="cpu, cuda or mps (default: cuda if there is one)")
    verb.set_defaults(run=run)


def run(parsed: argparse.Namespace) -> int:
    """Do it."""
    from cxr_lightning.inference.predictor import load_model, refuse_difference
    from cxr_lightning.utils.versions import versions

    model = load_model(parsed.model, device=parsed.device)
    difference = model.difference_from_reference()
    then = model.classifier.record.get("versions", {})
    now = versions()
    print(f"largest difference of {len(model.labels)} probabilities on {model.classifier.device}: {difference:.1e}")
    for name in sorted(name for name in now if then.get(name, now[name]) != now[name]):
        print(f"  {name}: {now[name]} here, {then[name]} when it was saved")
    refuse_difference(difference)
    return 0
