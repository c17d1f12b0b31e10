"""Rendering of one image, and the boxes of its findings."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.phantom.anatomy import Anatomy, sample_anatomy, vary_visit
from cxr_lightning.phantom.boxes import PhantomBox
from cxr_lightning.phantom.canvas import Canvas
from cxr_lightning.phantom.devices import add_film_markers, paint_devices
from cxr_lightning.phantom.distractors import paint_distractors
from cxr_lightning.phantom.film import develop, sample_film, sample_pose, to_uint8
from cxr_lightning.phantom.findings import PAINTERS
from cxr_lightning.phantom.findings_anatomy import ANATOMY_CHANGES
from cxr_lightning.phantom.normal_chest import Scene, airway_attenuation, build_scene
from cxr_lightning.phantom.spec import random_stream


@dataclass(frozen=True)
class PatientImage:
    """The patient, the visit and the planted findings of one image; the label table may list others.

    Attributes:
        patient_id: Number of the patient, from 1.
        follow_up: Number of the visit, from 0.
        age: Age in years.
        sex: ``"M"`` or ``"F"``.
        view: ``"PA"`` or ``"AP"``.
        findings: Labels of the planted findings.
    """

    patient_id: int
    follow_up: int
    age: int
    sex: str
    view: str
    findings: tuple[str, ...]


def draw_patient_image(
    row: PatientImage, seed: int, image_size: int
) -> tuple[NDArray[np.uint8], tuple[PhantomBox, ...]]:
    """Render one image.

    Each aspect has its own random stream, so removing a finding changes nothing else.

    Args:
        row: Patient, visit and findings to plant.
        seed: Seed of the set.
        image_size: Height and width in pixels, S.

    Returns:
        Gray pixels ``(S, S)``, bright where dense, and the boxes of the planted findings in the 1024 x 1024 frame.

    Example:
        >>> row = PatientImage(1, 0, 60, "F", "PA", ("Nodule",))
        >>> pixels, boxes = draw_patient_image(row, seed=0, image_size=64)
        >>> pixels.shape, boxes[0].label
        ((64, 64), 'Nodule')
    """
    patient, visit = row.patient_id, row.follow_up
    canvas = Canvas(image_size, sample_pose(random_stream(seed, patient, visit, "pose"), row.view))
    scene = build_scene(canvas, _draw_anatomy(row, seed), random_stream(seed, patient, "vessels"))
    paint_distractors(scene, random_stream(seed, patient, "look-alikes"))
    boxes = _paint_findings(scene, row, seed)
    paint_devices(scene, random_stream(seed, patient, visit, "devices"), row.view)
    film = sample_film(random_stream(seed, patient, visit, "film"), row.view)
    attenuation = scene.attenuation() - airway_attenuation(canvas, scene.anatomy)
    gray = develop(canvas, attenuation, film, random_stream(seed, patient, visit, "grain"))
    return to_uint8(add_film_markers(gray, canvas, random_stream(seed, patient, visit, "markers"), row.view)), boxes


def _draw_anatomy(row: PatientImage, seed: int) -> Anatomy:
    anatomy = sample_anatomy(random_stream(seed, row.patient_id, "anatomy"), row.age, row.sex)
    anatomy = vary_visit(anatomy, random_stream(seed, row.patient_id, row.follow_up, "visit"), row.view)
    for label, change in ANATOMY_CHANGES.items():
        if label in row.findings:
            anatomy = change(anatomy, random_stream(seed, row.patient_id, label))
    return anatomy


def _paint_findings(scene: Scene, row: PatientImage, seed: int) -> tuple[PhantomBox, ...]:
    boxes: list[PhantomBox] = []
    for label, paint in PAINTERS.items():
        if label in row.findings:
            boxes += paint(scene, random_stream(seed, row.patient_id, label))
    return tuple(boxes)
