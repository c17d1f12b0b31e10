"""Time training and inference steps of DenseNet-121 on one resident batch, beside plain torch float32 and Keras.

    uv run -m benchmarks.step_speed [--image-size 224] [--batch-size 8]
    uv run --with tensorflow-cpu -m benchmarks.step_speed          (Keras too)

It runs on the GPU if there is one. Plain torch: torchvision's network, AdamW, float32 images normalized beforehand.
Ours: gray uint8 images, the model, loss and optimizer as configured, with the precision that train.py chooses.
"""

import argparse
import os
from collections.abc import Callable
from typing import Any

import torch
import torchvision
from torch import Tensor

from benchmarks.paired_timing import describe_machine, print_rates, time_in_turns
from cxr_lightning.data.augment import Augmentation
from cxr_lightning.labels import NIH_LABELS
from cxr_lightning.losses.bce import MultilabelBCE
from cxr_lightning.models.classifier import ChestXRayClassifier
from cxr_lightning.utils.precision import exact_float32

Case = Callable[[], object]
LEARNING_RATE = 1e-4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--steps", type=int, default=2, help="per round")
    parser.add_argument("--compile", action="store_true", help="also with torch.compile")
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    size, batch = arguments.image_size, arguments.batch_size
    print(describe_machine())
    print(f"DenseNet-121, {size} px, batch {batch}, medians of rounds in turns")
    images = torch.randint(0, 256, (batch, 1, size, size), dtype=torch.uint8, device=device)
    targets = (torch.rand(batch, len(NIH_LABELS), device=device) < 0.06).float()
    training = training_cases(images, targets, compiled=arguments.compile)
    inference = inference_cases(images)
    if keras := keras_cases(size, batch):
        training["Keras float32"], inference["Keras float32"] = keras
    for kind, cases in (("training", training), ("inference", inference)):
        print(f"\n{kind}")
        repeated = {name: repeat(case, arguments.steps, device) for name, case in cases.items()}
        print_rates(time_in_turns(repeated, settle=True), batch * arguments.steps, "plain torch float32")


def repeat(case: Case, steps: int, device: torch.device) -> Case:
    """Repeat a case several times and wait for the device."""

    def run() -> None:
        for _ in range(steps):
            case()
        if device.type == "cuda":
            torch.cuda.synchronize()

    return run


def training_cases(images: Tensor, targets: Tensor, *, compiled: bool) -> dict[str, Case]:
    """List the training steps to compare: forward, loss, backward, optimizer."""
    pixels = (images.float() / 255).expand(-1, 3, -1, -1).contiguous()
    network = torchvision.models.densenet121(num_classes=len(NIH_LABELS)).to(images.device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE)

    def plain() -> None:
        optimizer.zero_grad()
        torch.autograd.backward(torch.nn.functional.binary_cross_entropy_with_logits(network(pixels), targets))
        optimizer.step()

    cases: dict[str, Case] = {
        "plain torch float32": plain,
        "ours float32": our_step(images, targets, low=False),
        "ours bfloat16": our_step(images, targets, low=True),
        "ours bfloat16, optimizer not fused": our_step(images, targets, low=True, fused=False),
        "ours bfloat16, augmented": our_step(images, targets, low=True, augmentation=Augmentation()),
    }
    if compiled:
        cases["ours bfloat16, compiled"] = our_step(images, targets, low=True, compile=True)
    return cases


def our_step(
    images: Tensor,
    targets: Tensor,
    *,
    low: bool,
    fused: bool = True,
    augmentation: Augmentation | None = None,
    **options: Any,  # noqa: ANN401  # settings of the model
) -> Case:
    """Build a training step that equals the trainer's, without the trainer."""
    loss = MultilabelBCE(len(NIH_LABELS))
    model = ChestXRayClassifier(NIH_LABELS, loss=loss, **options).to(images.device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, fused=fused)
    indices = torch.arange(len(images))

    def step() -> None:
        batch = images
        if augmentation is not None:
            draws = augmentation.draw(indices, seed=0, epoch=0)
            batch = augmentation(images, draws.to(images.device, non_blocking=True))
        optimizer.zero_grad()
        with torch.autocast(images.device.type, torch.bfloat16, enabled=low, cache_enabled=False):
            value = model.loss(model(batch), targets)
        value.backward()
        optimizer.step()

    return step


def inference_cases(images: Tensor) -> dict[str, Case]:
    """List the ways to compute probabilities of a batch."""
    pixels = (images.float() / 255).expand(-1, 3, -1, -1).contiguous()
    network = torchvision.models.densenet121(num_classes=len(NIH_LABELS)).to(images.device).eval()
    model = ChestXRayClassifier(NIH_LABELS).to(images.device).eval()

    @torch.inference_mode()
    def plain() -> None:
        network(pixels).sigmoid()

    @torch.inference_mode()
    def ours(low: bool) -> None:
        with exact_float32(), torch.autocast(images.device.type, torch.bfloat16, enabled=low, cache_enabled=False):
            model(images).float().sigmoid()

    return {
        "plain torch float32": plain,
        "ours float32": lambda: ours(False),
        "ours bfloat16": lambda: ours(True),
    }


def keras_cases(size: int, batch: int) -> tuple[Case, Case] | None:
    """Build the same training and inference steps in Keras on TensorFlow; None if these are not installed."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        import keras
        import numpy as np
        import tensorflow as tf
    except ImportError:
        print("Keras and TensorFlow are not installed: without them")
        return None
    print(f"Keras {keras.__version__}, TensorFlow {tf.__version__}")
    generator = np.random.default_rng(0)
    pixels = tf.constant(generator.random((batch, size, size, 3), dtype=np.float32))
    targets = tf.constant((generator.random((batch, len(NIH_LABELS))) < 0.06).astype(np.float32))
    network = keras.applications.DenseNet121(
        weights=None, input_shape=(size, size, 3), classes=len(NIH_LABELS), classifier_activation="sigmoid"
    )
    network.compile(optimizer=keras.optimizers.Adam(LEARNING_RATE), loss="binary_crossentropy")
    predict = tf.function(lambda: network(pixels, training=False))
    return (lambda: network.train_on_batch(pixels, targets)), (lambda: predict().numpy())


if __name__ == "__main__":
    main()
