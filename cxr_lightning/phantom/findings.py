"""The painters of the 14 findings by label."""

from collections.abc import Callable, Mapping

import numpy as np

from cxr_lightning.phantom.boxes import PhantomBox
from cxr_lightning.phantom.findings_diffuse import (
    paint_cardiomegaly,
    paint_edema,
    paint_emphysema,
    paint_fibrosis,
    paint_hernia,
)
from cxr_lightning.phantom.findings_lung import (
    paint_atelectasis,
    paint_consolidation,
    paint_infiltration,
    paint_mass,
    paint_nodule,
    paint_pneumonia,
)
from cxr_lightning.phantom.findings_pleura import paint_effusion, paint_pleural_thickening, paint_pneumothorax
from cxr_lightning.phantom.normal_chest import Scene

_Painter = Callable[[Scene, np.random.Generator], list[PhantomBox]]

PAINTERS: Mapping[str, _Painter] = {
    "Cardiomegaly": paint_cardiomegaly,
    "Emphysema": paint_emphysema,
    "Edema": paint_edema,
    "Fibrosis": paint_fibrosis,
    "Infiltration": paint_infiltration,
    "Pneumonia": paint_pneumonia,
    "Consolidation": paint_consolidation,
    "Atelectasis": paint_atelectasis,
    "Mass": paint_mass,
    "Nodule": paint_nodule,
    "Pneumothorax": paint_pneumothorax,
    "Effusion": paint_effusion,
    "Pleural_Thickening": paint_pleural_thickening,
    "Hernia": paint_hernia,
}
"""Painters in the order of painting; later ones see only the air that earlier ones have not replaced."""
