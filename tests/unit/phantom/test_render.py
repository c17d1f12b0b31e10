from dataclasses import replace

import numpy as np
import pytest

from cxr_lightning.labels import NIH_LABELS
from cxr_lightning.phantom.boxes import BOX_FRAME_SIZE, mask_to_boxes
from cxr_lightning.phantom.canvas import Canvas, Pose, ribbon_outline, smooth_curve
from cxr_lightning.phantom.findings import PAINTERS
from cxr_lightning.phantom.findings_anatomy import ANATOMY_CHANGES
from cxr_lightning.phantom.render import PatientImage, draw_patient_image

PATIENT = PatientImage(patient_id=3, follow_up=0, age=60, sex="F", view="PA", findings=())


def test_every_finding_has_a_painter() -> None:
    assert set(PAINTERS) == set(NIH_LABELS)
    assert set(ANATOMY_CHANGES) <= set(NIH_LABELS)


@pytest.mark.parametrize("size", [64, 101, 256])
def test_image_is_a_gray_square_that_uses_the_range(size: int) -> None:
    pixels, boxes = draw_patient_image(PATIENT, seed=0, image_size=size)
    assert pixels.shape == (size, size)
    assert pixels.dtype == np.uint8
    assert boxes == ()
    assert pixels.std() > 15
    assert np.mean(pixels == 255) < 0.05


def test_same_seed_same_image_and_other_seed_another() -> None:
    first = draw_patient_image(PATIENT, seed=0, image_size=64)[0]
    assert np.array_equal(first, draw_patient_image(PATIENT, seed=0, image_size=64)[0])
    assert not np.array_equal(first, draw_patient_image(PATIENT, seed=1, image_size=64)[0])


def test_lungs_are_darker_than_heart_and_abdomen() -> None:
    lungs, center, abdomen = [], [], []
    for patient in range(1, 9):
        pixels, _ = draw_patient_image(replace(PATIENT, patient_id=patient), seed=0, image_size=64)
        lungs.append(np.concatenate([pixels[22:34, 16:22], pixels[22:34, 42:48]]).mean())
        center.append(pixels[28:40, 31:34].mean())
        abdomen.append(pixels[54:60, 24:40].mean())
    assert np.mean(lungs) + 40 < np.mean(center)
    assert np.mean(lungs) + 40 < np.mean(abdomen)


@pytest.mark.parametrize("label", NIH_LABELS)
def test_a_planted_finding_changes_the_pixels_in_its_box(label: str) -> None:
    without, _ = draw_patient_image(PATIENT, seed=1, image_size=128)
    planted, boxes = draw_patient_image(replace(PATIENT, findings=(label,)), seed=1, image_size=128)
    assert boxes
    for box in boxes:
        assert box.label == label
        assert 0 <= box.x < box.x + box.width <= BOX_FRAME_SIZE
        assert 0 <= box.y < box.y + box.height <= BOX_FRAME_SIZE
        rows = slice(int(box.y / 8), int((box.y + box.height) / 8))
        columns = slice(int(box.x / 8), int((box.x + box.width) / 8))
        change = np.abs(planted[rows, columns].astype(int) - without[rows, columns].astype(int))
        assert change.mean() > 2  # gray levels


def test_a_local_finding_leaves_the_rest_of_the_image_alone() -> None:
    without, _ = draw_patient_image(PATIENT, seed=1, image_size=128)
    planted, boxes = draw_patient_image(replace(PATIENT, findings=("Mass",)), seed=1, image_size=128)
    far = np.ones_like(planted, dtype=bool)
    margin = 12  # the film's sharpening reaches a few pixels beyond the box
    box = boxes[0]
    top, left = max(0, int(box.y / 8) - margin), max(0, int(box.x / 8) - margin)
    far[top : int((box.y + box.height) / 8) + margin, left : int((box.x + box.width) / 8) + margin] = False
    assert np.array_equal(planted[far], without[far])


def test_follow_up_is_the_same_chest_in_another_pose() -> None:
    first, _ = draw_patient_image(PATIENT, seed=0, image_size=64)
    second, _ = draw_patient_image(replace(PATIENT, follow_up=1), seed=0, image_size=64)
    assert not np.array_equal(first, second)


def test_canvas_covers_half_the_pixels_for_half_the_frame() -> None:
    canvas = Canvas(64, Pose())
    left_half = np.array([(-0.5, 0.0), (0.0, 0.0), (0.0, 1.0), (-0.5, 1.0)])
    mask = canvas.polygon(left_half)
    assert mask[:, :31].min() == 1
    assert mask[:, 33:].max() == 0


def test_canvas_coordinates_and_pixels_are_inverse() -> None:
    canvas = Canvas(64, Pose(shift_x=0.03, shift_y=-0.02, scale=1.1, tilt=0.1))
    point = np.array([[float(canvas.x[20, 40]), float(canvas.y[20, 40])]])
    assert canvas.to_frame(point) * 64 - 0.5 == pytest.approx(np.array([[40, 20]]), abs=1e-4)  # float32 grids


def test_box_of_mask_scales_to_the_1024_frame() -> None:
    mask = np.zeros((64, 64), dtype=np.float32)
    mask[10:14, 20:25] = 1
    (box,) = mask_to_boxes(Canvas(64, Pose()), "Mass", mask)
    assert (box.x, box.y, box.width, box.height) == (320, 160, 80, 64)  # 16 frame pixels to one of the mask
    assert mask_to_boxes(Canvas(64, Pose()), "Mass", np.zeros_like(mask)) == []


def test_smooth_curve_passes_its_knots_and_band_has_its_width() -> None:
    curve = smooth_curve([(0, 0), (1, 0), (2, 0)], steps=4)
    assert curve[[0, 4, 8]] == pytest.approx(np.array([(0, 0), (1, 0), (2, 0)]))
    outline = ribbon_outline(curve, 0.5)
    assert outline[:, 1].min() == pytest.approx(-0.25)
    assert outline[:, 1].max() == pytest.approx(0.25)
