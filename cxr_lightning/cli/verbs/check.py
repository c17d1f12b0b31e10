"""The verb ``check``."""

from pkgutil import resolve_name
from typing import Annotated

import typer

from cxr_lightning.cli.model_argument import named_model
from cxr_lightning.utils.terminal import say


def check(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="a checkpoint, or latest")],
    device: Annotated[
        str | None, typer.Option(metavar="NAME", help="cpu, cuda, cuda:N or mps  [default: cuda if there is one]")
    ] = None,
) -> None:
    """Compare this installation with the one that saved a model.

    Compute the probabilities of the model's reference image again, a synthetic radiograph that its file carries, and
    compare them with those stored there. The exit code is 1 if any differs by over 0.0001.
    """
    file = named_model(model)
    trained = resolve_name("cxr_lightning.inference.predictor:load_model")(file, device=device).model
    difference = resolve_name("cxr_lightning.checkpoints.installation_check:difference_from_reference")(trained)
    changed = resolve_name("cxr_lightning.checkpoints.installation_check:changed_versions")(trained)
    say(f"largest difference of {len(trained.labels)} probabilities on {trained.network.device}: {difference:.1e}")
    for name, (here, saved) in changed.items():
        say(f"  {name}: {here} here, {saved} when it was saved")
    resolve_name("cxr_lightning.checkpoints.installation_check:refuse_difference")(difference)
