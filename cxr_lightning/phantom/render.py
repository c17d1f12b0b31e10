"""One table row -> one picture and the boxes of its findings."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.phantom.anatomy import Anatomy, sample_anatomy, vary_visit
from cxr_lightning.phantom.boxes import Box
from cxr_lightning.phantom.canvas import Canvas
from cxr_lightning.phantom.chest import Scene, build_scene, paint_airway
from cxr_lightning.phantom.devices import mark_film, paint_devices
from cxr_lightning.phantom.distractors import paint_look_alikes
from cxr_lightning.phantom.film import develop, sample_film, sample_pose, to_pixels
from cxr_lightning.phantom.findings import PAINTERS
from cxr_lightning.phantom.findings_shape import RESHAPES
from cxr_lightning.phantom.spec import random_stream


@dataclass(frozen=True)
class PatientImage:
    """Who is on a picture and what is planted in it; the written labels may differ a little.

    Attributes:
        patient_id: From 1.
        follow_up: Number of the visit, from 0.
        age: Years.
        sex: ``"M"`` or ``"F"``.
        view: ``"PA"`` or ``"AP"``.
        findings: Labels of what is planted.
    """

    patient_id: int
    follow_up: int
    age: int
    sex: str
    view: str
    findings: tuple[str, ...]


def draw_patient_image(row: PatientImage, seed: int, image_size: int) -> tuple[NDArray[np.uint8], tuple[Box, ...]]:
    """The picture of one row.

    Each aspect has a random stream of its own, so leaving out a finding changes nothing else.

    Args:
        row: Who, which visit, and the findings to plant.
        seed: The set's seed.
        image_size: Height and width in pixels, S.

    Returns:
        Grey pixels ``(S, S)``, bright where dense, and the boxes of the planted findings in the 1024 x 1024 frame.

    Example:
        >>> row = PatientImage(1, 0, 60, "F", "PA", ("Nodule",))
        >>> pixels, boxes = draw_patient_image(row, seed=0, image_size=64)
        >>> pixels.shape, boxes[0].label
        ((64, 64), 'Nodule')
    """
    patient, visit = row.patient_id, row.follow_up
    canvas = Canvas(image_size, sample_pose(random_stream(seed, patient, visit, "pose"), row.view))
    scene = build_scene(canvas, _shape(row, seed), random_stream(seed, patient, "vessels"))
    paint_look_alikes(scene, random_stream(seed, patient, "look-alikes"))
    boxes = _plant(scene, row, seed)
    paint_devices(scene, random_stream(seed, patient, visit, "devices"), row.view)
    film = sample_film(random_stream(seed, patient, visit, "film"), row.view)
    attenuation = scene.attenuation() - paint_airway(canvas, scene.anatomy)
    grey = develop(canvas, attenuation, film, random_stream(seed, patient, visit, "grain"))
    return to_pixels(mark_film(grey, canvas, random_stream(seed, patient, visit, "markers"), row.view)), boxes


def _shape(row: PatientImage, seed: int) -> Anatomy:
    anatomy = sample_anatomy(random_stream(seed, row.patient_id, "anatomy"), row.age, row.sex)
    anatomy = vary_visit(anatomy, random_stream(seed, row.patient_id, row.follow_up, "visit"), row.view)
    for label, reshape in RESHAPES.items():
        if label in row.findings:
            anatomy = reshape(anatomy, random_stream(seed, row.patient_id, label))
    return anatomy


def _plant(scene: Scene, row: PatientImage, seed: int) -> tuple[Box, ...]:
    boxes: list[Box] = []
    for label, paint in PAINTERS.items():
        if label in row.findings:
            boxes += paint(scene, random_stream(seed, row.patient_id, label))
    return tuple(boxes)
