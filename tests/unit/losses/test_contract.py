"""Any module from logits and targets to a scalar is a loss."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cxr_lightning.losses.bce import MultilabelBCE, build_loss
from cxr_lightning.losses.contract import constant_loss, loss_name, make_loss, with_fitting_loss

TARGETS = torch.tensor([[1.0, 0.0], [0.0, 1.0], [float("nan"), 0.0]])


class Focal(nn.Module):
    """Focal loss with a learned parameter and a buffer; unknown targets add nothing."""

    gamma: Tensor

    def __init__(self, targets: Tensor | None = None) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.register_buffer("gamma", torch.tensor(2.0))
        self.images = 0 if targets is None else len(targets)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        probability = logits.sigmoid()
        correct = torch.where(targets == 1, probability, 1 - probability)
        terms = -((1 - correct) ** self.gamma) * correct.log()
        return self.scale * torch.where(targets.isnan(), 0.0, terms).sum() / (~targets.isnan()).sum()


class Constant(nn.Module):
    """A loss that returns the same whatever it is given."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value

    def forward(self, logits: Tensor, targets: Tensor) -> Any:
        return self.value

    def constant_baseline(self, prevalence: Tensor) -> float:
        return 0.0


def test_a_baseline_that_fails_is_named() -> None:
    with pytest.raises(ValueError, match=r"`constant_baseline` of .*Constant but it fails"):
        constant_loss(Constant(0), torch.ones(2), TARGETS)


def test_a_loss_is_taken_as_it_is_and_a_factory_is_given_the_training_targets() -> None:
    loss = Focal()
    assert make_loss(loss, TARGETS) is loss
    made = make_loss(Focal, TARGETS)
    assert isinstance(made, Focal)
    assert made.images == 3
    assert isinstance(make_loss(build_loss, TARGETS), MultilabelBCE)


@pytest.mark.parametrize(
    ("configured", "message"),
    [
        (nn.BCEWithLogitsLoss(), r"finite number of `loss` .* returns nan\. Targets that are NaN \(unknown\) must add"),
        (nn.BCEWithLogitsLoss(reduction="none"), r"scalar of `loss` but .*BCEWithLogitsLoss returns \(3, 2\)"),
        (nn.ReLU(), "take logits and targets of shape .3, 2. but .*ReLU fails"),
        (lambda targets: 3, "make one from the training targets, but got 3"),
        (lambda: nn.ReLU(), "made from the training targets but got .*takes 0 positional arguments"),
        (Constant(torch.tensor(0.5)), "depends on the logits but .*Constant returns torch.float32 without a gradient"),
        (Constant(torch.tensor(1 + 1j)), "real number of `loss`"),
        (Constant(None), "scalar of `loss` but .*Constant returns NoneType"),
        (None, "but got None"),
    ],
)
def test_what_is_no_loss_is_refused(configured: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_loss(configured, TARGETS)


def test_a_loss_without_masking_is_taken_where_all_targets_are_known() -> None:
    assert isinstance(make_loss(nn.BCEWithLogitsLoss(), TARGETS[:2]), nn.BCEWithLogitsLoss)


def test_the_constant_baseline_is_undefined_where_a_loss_does_not_offer_it() -> None:
    prevalence = torch.tensor([0.5, 1 / 3])
    assert math.isnan(constant_loss(Focal(), prevalence, TARGETS))
    entropies = [math.log(2), -(math.log(1 / 3) + 2 * math.log(2 / 3)) / 3]
    assert constant_loss(MultilabelBCE(2), prevalence, TARGETS) == pytest.approx(sum(entropies) / 2, abs=1e-6)


def test_the_saved_state_of_another_loss_is_replaced_by_the_losss_own() -> None:
    network = {"network.weight": torch.ones(2)}
    focal = Focal()
    saved = {"loss.scale": torch.tensor(3.0), "loss.gamma": torch.tensor(1.0)}
    assert with_fitting_loss(network | saved, focal) == network | saved
    assert set(with_fitting_loss(network | saved, nn.BCEWithLogitsLoss())) == set(network)
    adapted = with_fitting_loss(network, focal)
    assert float(adapted["loss.gamma"]) == 2
    larger = with_fitting_loss(network | {"loss.scale": torch.ones(5), "loss.gamma": torch.ones(())}, focal)
    assert larger["loss.scale"].shape == ()


def test_a_loss_is_recorded_by_its_class() -> None:
    assert loss_name(MultilabelBCE(1)) == "cxr_lightning.losses.bce.MultilabelBCE"
