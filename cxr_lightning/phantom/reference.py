"""The one synthetic picture by which an installation is told to compute what another one did."""

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.imaging.reader import Interpolation, resize
from cxr_lightning.phantom.render import PatientImage, draw_patient_image

_WHO = PatientImage(1, 0, 60, "F", "PA", ("Effusion", "Nodule"))


def reference_picture(image_size: int, interpolation: Interpolation) -> NDArray[np.uint8]:
    """The picture as a model sees it, ``(S, S)`` uint8."""
    pixels, _ = draw_patient_image(_WHO, seed=0, image_size=256)
    return resize(pixels, image_size, interpolation)
