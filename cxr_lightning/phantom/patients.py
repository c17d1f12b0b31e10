"""The patients of the set, their visits and their findings.

Findings occur together as in real patients (effusion with atelectasis, edema with a large heart), and depend only
mildly on age and view. Every finding is frequent enough to be learned and tested, which NIH's real frequencies would
not allow in so small a set.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cxr_lightning.labels import NIH_LABELS
from cxr_lightning.phantom.render import PatientImage
from cxr_lightning.phantom.spec import PhantomSpec, random_stream

_HEALTHY_PROBABILITY = 0.39
_VISIT_COUNT_PROBABILITIES = (0.45, 0.25, 0.15, 0.10, 0.05)
_FINDING_COUNT_PROBABILITIES = (0.25, 0.34, 0.26, 0.15)
_PRESENT_AT_VISIT_PROBABILITY = 0.88
_UNLISTED_PROBABILITY = 0.02
_FALSE_MENTION_PROBABILITY = 0.001
_MIN_POSITIVE_FRACTION = 0.05
"""Minimum fraction of the images of each list that show and list any one label; at least two images in any case."""

_RELATIVE_FREQUENCY = {
    "Atelectasis": 1.25,
    "Cardiomegaly": 0.9,
    "Consolidation": 0.9,
    "Edema": 0.85,
    "Effusion": 1.35,
    "Emphysema": 0.85,
    "Fibrosis": 0.85,
    "Hernia": 0.7,
    "Infiltration": 1.7,
    "Mass": 1.05,
    "Nodule": 1.15,
    "Pleural_Thickening": 0.95,
    "Pneumonia": 0.8,
    "Pneumothorax": 1.0,
}
_COOCCURRENCE = {
    ("Atelectasis", "Effusion"): 2.0,
    ("Edema", "Effusion"): 1.8,
    ("Cardiomegaly", "Edema"): 2.0,
    ("Cardiomegaly", "Effusion"): 1.5,
    ("Infiltration", "Pneumonia"): 1.6,
    ("Infiltration", "Effusion"): 1.3,
    ("Consolidation", "Effusion"): 1.4,
    ("Emphysema", "Pneumothorax"): 2.0,
    ("Fibrosis", "Pleural_Thickening"): 1.8,
    ("Mass", "Nodule"): 1.4,
    ("Emphysema", "Edema"): 0.0,
    ("Cardiomegaly", "Emphysema"): 0.0,
    ("Fibrosis", "Emphysema"): 0.0,
    ("Edema", "Fibrosis"): 0.0,
    ("Consolidation", "Pneumonia"): 0.4,
}
_AGE_EFFECT = {
    "Cardiomegaly": 0.5,
    "Hernia": 0.7,
    "Emphysema": 0.4,
    "Fibrosis": 0.4,
    "Pneumothorax": -0.5,
    "Pneumonia": -0.3,
}
_BEDSIDE_EFFECT = {"Effusion": 0.3, "Edema": 0.5, "Atelectasis": 0.25, "Hernia": -0.3, "Nodule": -0.3}


@dataclass(frozen=True)
class PhantomRow:
    """One row of the label table: the image with its planted findings, and the listed findings (few are wrong)."""

    image: PatientImage
    listed: tuple[str, ...]

    @property
    def name(self) -> str:
        """File name in NIH's form."""
        return f"{self.image.patient_id:08d}_{self.image.follow_up:03d}.png"


def draw_rows(spec: PhantomSpec) -> tuple[list[PhantomRow], list[PhantomRow]]:
    """Draw the rows of the training-and-validation list and of the test list; no patient is in both.

    Args:
        spec: Choices that determine the set; its counts are met exactly.
    """
    train_val = _draw_part(spec, 1, spec.train_val_images)
    first = train_val[-1].image.patient_id + 1
    return train_val, _draw_part(spec, first, spec.test_images)


def _draw_part(spec: PhantomSpec, first_patient: int, images: int) -> list[PhantomRow]:
    rows: list[PhantomRow] = []
    patient = first_patient
    while len(rows) < images:
        rows += _draw_patient(spec.seed, patient)[: images - len(rows)]
        patient += 1
    for label in NIH_LABELS:
        _add_positives(
            rows,
            label,
            max(2, round(_MIN_POSITIVE_FRACTION * images)),
            random_stream(spec.seed, first_patient, "top-up", label),
        )
    return rows


def _draw_patient(seed: int, patient: int) -> list[PhantomRow]:
    generator = random_stream(seed, patient, "patient")
    age = int(np.clip(generator.normal(52, 17), 20, 92))
    sex = "M" if generator.random() < 0.55 else "F"
    bedside = generator.random() < 0.35
    findings = _draw_findings(generator, age, bedside)
    rows = []
    for visit in range(1 + int(generator.choice(len(_VISIT_COUNT_PROBABILITIES), p=_VISIT_COUNT_PROBABILITIES))):
        present = tuple(label for label in findings if generator.random() < _PRESENT_AT_VISIT_PROBABILITY)
        view = "AP" if generator.random() < (0.8 if bedside else 0.15) else "PA"
        image = PatientImage(patient, visit, min(age + visit // 2, 95), sex, view, present)
        rows.append(PhantomRow(image, _label_file_findings(present, generator)))
    return rows


def _draw_findings(generator: np.random.Generator, age: int, bedside: bool) -> tuple[str, ...]:
    """Draw a patient's findings, each conditional on those drawn before it."""
    if generator.random() < _HEALTHY_PROBABILITY:
        return ()
    weights = np.array([_RELATIVE_FREQUENCY[label] * _relative_risk(label, age, bedside) for label in NIH_LABELS])
    chosen: list[int] = []
    for _ in range(1 + int(generator.choice(len(_FINDING_COUNT_PROBABILITIES), p=_FINDING_COUNT_PROBABILITIES))):
        index = int(generator.choice(len(NIH_LABELS), p=weights / weights.sum()))
        chosen.append(index)
        weights *= [_cooccurrence(NIH_LABELS[index], label) for label in NIH_LABELS]
    return tuple(NIH_LABELS[index] for index in sorted(chosen))


def _relative_risk(label: str, age: int, bedside: bool) -> float:
    return (1 + _AGE_EFFECT.get(label, 0.0) * (age - 50) / 50) * (
        1 + _BEDSIDE_EFFECT.get(label, 0.0) * (1 if bedside else -0.5)
    )


def _cooccurrence(present: str, other: str) -> float:
    """Factor on the frequency of ``other`` beside ``present``; 0 for itself and for pairs that cannot occur."""
    if present == other:
        return 0.0
    return _COOCCURRENCE.get((present, other), _COOCCURRENCE.get((other, present), 1.0))


def _label_file_findings(present: Sequence[str], generator: np.random.Generator) -> tuple[str, ...]:
    """Draw the labels of a text-mined label file, which rarely misses a finding or lists one that is absent."""
    drawn_numbers = generator.random(len(NIH_LABELS))
    return tuple(
        label
        for label, drawn in zip(NIH_LABELS, drawn_numbers, strict=True)
        if (drawn >= _UNLISTED_PROBABILITY if label in present else drawn < _FALSE_MENTION_PROBABILITY)
    )


def _add_positives(rows: list[PhantomRow], label: str, minimum: int, generator: np.random.Generator) -> None:
    """Plant a rare label in the images with the fewest findings until ``minimum`` images show and list it."""
    missing = minimum - sum(label in row.listed and label in row.image.findings for row in rows)
    shuffled = generator.permutation(len(rows)).tolist()
    order = sorted(shuffled, key=lambda index: len(rows[index].image.findings))
    possible = [
        index for index in order if label not in rows[index].image.findings and _can_occur_with(rows[index], label)
    ]
    for index in possible[: max(missing, 0)]:
        image = rows[index].image
        planted = replace(image, findings=tuple(sorted({*image.findings, label})))
        rows[index] = PhantomRow(planted, tuple(sorted({*rows[index].listed, label})))


def _can_occur_with(row: PhantomRow, label: str) -> bool:
    return all(_cooccurrence(present, label) > 0 for present in row.image.findings)
