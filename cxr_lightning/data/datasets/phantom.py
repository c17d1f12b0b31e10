"""The synthetic set: NIH's layout, generated on first use."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from cxr_lightning.data.datasets.nih import NIHLayout
from cxr_lightning.phantom.build import build_phantom
from cxr_lightning.phantom.spec import PhantomSpec


@dataclass(frozen=True)
class PhantomLayout(NIHLayout):
    """The synthetic set, made on first use in its own folder below the data folder.

    Args:
        seed: Draws patients, findings and images.
        train_images: Number of training images.
        val_images: Number of validation images.
        test_images: Number of test images.
        image_size: Side of the image files in pixels.
    """

    seed: int = 0
    train_images: int = 1000
    val_images: int = 200
    test_images: int = 400
    image_size: int = 256
    name: ClassVar[str] = "phantom"
    needs_folder: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _ = self.spec  # refuses sizes that cannot be made before anything is written

    @property
    def spec(self) -> PhantomSpec:
        """Settings of the generator."""
        return PhantomSpec(self.seed, self.train_images, self.val_images, self.test_images, self.image_size)

    def prepare(self, root: Path) -> None:
        """Make the set, or what is missing of it."""
        build_phantom(root, self.spec)

    def folder(self, root: Path) -> Path:
        """Folder of the set with exactly these settings."""
        return root / self.spec.name
