"""Who is in the set and who has what.

Findings come in company, as in life (effusion with atelectasis, edema with a large heart), and depend on age and view
only mildly. Every finding is frequent enough to be learnt and tested, which NIH's real frequencies would not allow in
so small a set.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cxr_lightning.labels import NIH_LABELS
from cxr_lightning.phantom.render import PatientImage
from cxr_lightning.phantom.spec import PhantomSpec, random_stream

HEALTHY_SHARE = 0.39
VISITS_SHARE = (0.45, 0.25, 0.15, 0.10, 0.05)
FINDINGS_SHARE = (0.25, 0.34, 0.26, 0.15)
KEPT_SHARE = 0.88
UNLISTED_SHARE = 0.02
FALSE_MENTION_SHARE = 0.001
SMALLEST_SHARE = 0.05
"""Share of the images of each list that every label is guaranteed to have (and two images in any case)."""

FREQUENCY = {
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
COMPANY = {
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
OLDER = {"Cardiomegaly": 0.5, "Hernia": 0.7, "Emphysema": 0.4, "Fibrosis": 0.4, "Pneumothorax": -0.5, "Pneumonia": -0.3}
BEDSIDE = {"Effusion": 0.3, "Edema": 0.5, "Atelectasis": 0.25, "Hernia": -0.3, "Nodule": -0.3}


@dataclass(frozen=True)
class Row:
    """One image: what is planted in it and what its label file says, which is wrong now and then."""

    image: PatientImage
    listed: tuple[str, ...]

    @property
    def name(self) -> str:
        """File name in NIH's form."""
        return f"{self.image.patient_id:08d}_{self.image.follow_up:03d}.png"


def draw_rows(spec: PhantomSpec) -> tuple[list[Row], list[Row]]:
    """The rows of the training-and-validation list and of the test list; no patient is in both.

    Args:
        spec: The set; the counts are met exactly.
    """
    train_val = _draw_part(spec, 1, spec.train_val_images)
    first = train_val[-1].image.patient_id + 1
    return train_val, _draw_part(spec, first, spec.test_images)


def _draw_part(spec: PhantomSpec, first_patient: int, images: int) -> list[Row]:
    rows: list[Row] = []
    patient = first_patient
    while len(rows) < images:
        rows += _draw_patient(spec.seed, patient)[: images - len(rows)]
        patient += 1
    for label in NIH_LABELS:
        _top_up(
            rows,
            label,
            max(2, round(SMALLEST_SHARE * images)),
            random_stream(spec.seed, first_patient, "top-up", label),
        )
    return rows


def _draw_patient(seed: int, patient: int) -> list[Row]:
    generator = random_stream(seed, patient, "patient")
    age = int(np.clip(generator.normal(52, 17), 20, 92))
    sex = "M" if generator.random() < 0.55 else "F"
    bedside = generator.random() < 0.35
    findings = _draw_findings(generator, age, bedside)
    rows = []
    for visit in range(1 + int(generator.choice(len(VISITS_SHARE), p=VISITS_SHARE))):
        present = tuple(label for label in findings if generator.random() < KEPT_SHARE)
        view = "AP" if generator.random() < (0.8 if bedside else 0.15) else "PA"
        image = PatientImage(patient, visit, min(age + visit // 2, 95), sex, view, present)
        rows.append(Row(image, _mention(present, generator)))
    return rows


def _draw_findings(generator: np.random.Generator, age: int, bedside: bool) -> tuple[str, ...]:
    """A patient's findings, each drawn given those before it."""
    if generator.random() < HEALTHY_SHARE:
        return ()
    weights = np.array([FREQUENCY[label] * _risk(label, age, bedside) for label in NIH_LABELS])
    chosen: list[int] = []
    for _ in range(1 + int(generator.choice(len(FINDINGS_SHARE), p=FINDINGS_SHARE))):
        index = int(generator.choice(len(NIH_LABELS), p=weights / weights.sum()))
        chosen.append(index)
        weights *= [_company(NIH_LABELS[index], label) for label in NIH_LABELS]
    return tuple(NIH_LABELS[index] for index in sorted(chosen))


def _risk(label: str, age: int, bedside: bool) -> float:
    return (1 + OLDER.get(label, 0.0) * (age - 50) / 50) * (1 + BEDSIDE.get(label, 0.0) * (1 if bedside else -0.5))


def _company(present: str, other: str) -> float:
    """How much likelier ``other`` is beside ``present``; 0 for itself and for what cannot go together."""
    if present == other:
        return 0.0
    return COMPANY.get((present, other), COMPANY.get((other, present), 1.0))


def _mention(present: Sequence[str], generator: np.random.Generator) -> tuple[str, ...]:
    """What a text-mined label file says: now and then it misses a finding or takes a denial for one."""
    chance = generator.random(len(NIH_LABELS))
    return tuple(
        label
        for label, drawn in zip(NIH_LABELS, chance, strict=True)
        if (drawn >= UNLISTED_SHARE if label in present else drawn < FALSE_MENTION_SHARE)
    )


def _top_up(rows: list[Row], label: str, floor: int, generator: np.random.Generator) -> None:
    """Plants a rare label in images with the fewest findings until ``floor`` images show and list it."""
    missing = floor - sum(label in row.listed and label in row.image.findings for row in rows)
    shuffled = generator.permutation(len(rows)).tolist()
    order = sorted(shuffled, key=lambda index: len(rows[index].image.findings))
    possible = [index for index in order if label not in rows[index].image.findings and _fits(rows[index], label)]
    for index in possible[: max(missing, 0)]:
        image = rows[index].image
        planted = replace(image, findings=tuple(sorted({*image.findings, label})))
        rows[index] = Row(planted, tuple(sorted({*rows[index].listed, label})))


def _fits(row: Row, label: str) -> bool:
    return all(_company(present, label) > 0 for present in row.image.findings)
