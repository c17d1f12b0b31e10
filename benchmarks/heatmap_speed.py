"""Measure the seconds for heat maps of several findings, beside one pass of the features and one of the head for each.

``python benchmarks/heatmap_speed.py``
"""

import argparse
import time

import torch
from torch import Tensor

from cxr_lightning.explain.grad_cam import GradCam
from cxr_lightning.labels import NIH_LABELS
from cxr_lightning.models.classifier import ChestXRayClassifier

BATCH = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--labels", type=int, default=4)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--backbone", default="densenet121")
    arguments = parser.parse_args()
    model = ChestXRayClassifier(NIH_LABELS, backbone=arguments.backbone, image_size=arguments.image_size).eval()
    grad_cam, labels = GradCam(model.network), list(range(arguments.labels))
    shape = (arguments.images, 1, arguments.image_size, arguments.image_size)
    images = torch.randint(0, 256, shape, dtype=torch.uint8)
    grad_cam.heatmaps(images[:BATCH], labels)  # warm-up
    seconds = {"maps": 0.0, "features": 0.0, "heads": 0.0}
    for batch in torch.split(images, BATCH):  # in turns, so that both see the same state of the machine
        started = time.perf_counter()
        grad_cam.heatmaps(batch, labels)
        seconds["maps"] += time.perf_counter() - started
        started = time.perf_counter()
        maps = grad_cam.activations(batch)
        seconds["features"] += time.perf_counter() - started
        started = time.perf_counter()
        for label in labels:
            forward_and_backward(grad_cam, maps, label)
        seconds["heads"] += time.perf_counter() - started
    minimum = seconds["features"] + seconds["heads"]
    print(f"{arguments.images} images x {arguments.labels} labels, {arguments.backbone} at {arguments.image_size} px")
    print(
        f"heat maps: {seconds['maps']:.1f} s; features {seconds['features']:.1f} s and heads {seconds['heads']:.2f} s"
    )
    print(f"ratio: {seconds['maps'] / minimum:.2f}")


def forward_and_backward(grad_cam: GradCam, maps: Tensor, label: int) -> None:
    """Run the minimum that Grad-CAM needs of the head for each image: one forward and one backward pass."""
    for image in torch.split(maps, 1):
        entry = image.clone().requires_grad_()
        torch.autograd.grad(grad_cam.head(entry)[0, label], entry)


if __name__ == "__main__":
    main()
