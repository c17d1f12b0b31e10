"""The synthetic image on which two installations compare the probabilities that they compute."""

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.imaging.reader import Interpolation, resize
from cxr_lightning.phantom.render import PatientImage, draw_patient_image

_PATIENT_IMAGE = PatientImage(1, 0, 60, "F", "PA", ("Effusion", "Nodule"))


def reference_image(image_size: int, interpolation: Interpolation) -> NDArray[np.uint8]:
    """Draw the reference image in a model's input size, ``(S, S)`` uint8."""
    pixels, _ = draw_patient_image(_PATIENT_IMAGE, seed=0, image_size=256)
    return resize(pixels, image_size, interpolation)
