from collections import Counter

import pytest

from cxr_lightning.labels import NIH_LABELS
from cxr_lightning.phantom.patients import PhantomRow, draw_rows
from cxr_lightning.phantom.spec import PhantomSpec

SMALLEST = PhantomSpec(train_images=60, val_images=20, test_images=40, image_size=64)


def _positives(rows: list[PhantomRow]) -> Counter[str]:
    return Counter(label for row in rows for label in row.listed)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("counts", "train_val_floor", "test_floor"), [((60, 20, 40), 4, 2), ((1000, 200, 400), 60, 20)]
)
def test_every_label_has_its_floor_of_positives(
    seed: int, counts: tuple[int, int, int], train_val_floor: int, test_floor: int
) -> None:
    train_val, test = draw_rows(PhantomSpec(seed, *counts))
    assert (len(train_val), len(test)) == (counts[0] + counts[1], counts[2])
    assert min(_positives(train_val)[label] for label in NIH_LABELS) >= train_val_floor
    assert min(_positives(test)[label] for label in NIH_LABELS) >= test_floor


def test_prevalences_are_between_5_and_20_percent_and_a_third_is_healthy() -> None:
    train_val, test = draw_rows(PhantomSpec(seed=11))
    rows = train_val + test
    fractions = {label: count / len(rows) for label, count in _positives(rows).items()}
    assert set(fractions) == set(NIH_LABELS)
    assert all(0.05 < fraction < 0.20 for fraction in fractions.values()), fractions
    assert 0.33 < sum(not row.listed for row in rows) / len(rows) < 0.45


def test_no_patient_is_in_both_lists() -> None:
    train_val, test = draw_rows(PhantomSpec(seed=2))
    assert {row.image.patient_id for row in train_val}.isdisjoint(row.image.patient_id for row in test)


def test_visits_count_from_0_and_age_and_sex_go_on() -> None:
    rows = draw_rows(SMALLEST)[0]
    for patient in {row.image.patient_id for row in rows}:
        images = [row.image for row in rows if row.image.patient_id == patient]
        assert [image.follow_up for image in images] == list(range(len(images)))
        assert len({image.sex for image in images}) == 1
        assert 0 <= images[-1].age - images[0].age <= 3
        assert all(20 <= image.age <= 95 for image in images)


def test_label_file_is_wrong_now_and_then() -> None:
    train_val, test = draw_rows(PhantomSpec(seed=5))
    rows = train_val + test
    planted = sum(len(row.image.findings) for row in rows)
    unlisted = sum(len(set(row.image.findings) - set(row.listed)) for row in rows)
    false_mentions = sum(len(set(row.listed) - set(row.image.findings)) for row in rows)
    assert 0.005 < unlisted / planted < 0.04  # 2 % of about 2,000: four standard deviations are 1.3 %
    assert 0 < false_mentions / (len(rows) * len(NIH_LABELS)) < 0.005


def test_impossible_pairs_do_not_occur() -> None:
    train_val, test = draw_rows(PhantomSpec(seed=6))
    assert not any({"Cardiomegaly", "Emphysema"} <= set(row.image.findings) for row in train_val + test)


def test_labels_are_in_alphabetical_order() -> None:
    for row in draw_rows(SMALLEST)[0]:
        assert list(row.listed) == sorted(row.listed)
        assert list(row.image.findings) == sorted(row.image.findings)
