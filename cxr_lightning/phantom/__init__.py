"""The synthetic data set: radiograph-like chest images with the 14 findings planted, in NIH's layout.

The set lets one try the program and its tests with nothing to download; it teaches nothing about patients.
"""

from cxr_lightning.phantom.boxes import PhantomBox
from cxr_lightning.phantom.build import build_phantom
from cxr_lightning.phantom.render import PatientImage, draw_patient_image
from cxr_lightning.phantom.spec import PhantomSpec

__all__ = ["PatientImage", "PhantomBox", "PhantomSpec", "build_phantom", "draw_patient_image"]
