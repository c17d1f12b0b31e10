"""Measure the seconds for the intervals of a full NIH test set, beside a plain scikit-learn loop.

``python benchmarks/evaluation_speed.py``
"""

import argparse
import time
from dataclasses import replace

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, roc_auc_score

from cxr_lightning.evaluation.comparability import PredictionSource
from cxr_lightning.evaluation.evaluate import EvaluationInputs, evaluate_predictions
from cxr_lightning.evaluation.per_label import rank_labels
from cxr_lightning.inference.predictions import Predictions, predictions_of
from cxr_lightning.labels import NIH_LABELS
from cxr_lightning.metrics.bootstrap import Resampling, bootstrap_scores, draw_patients
from cxr_lightning.metrics.operating_points import parse_rules
from cxr_lightning.models.postprocess import fit_postprocessing

PREVALENCE = (0.128, 0.042, 0.071, 0.036, 0.182, 0.043, 0.017, 0.0034, 0.239, 0.068, 0.063, 0.045, 0.022, 0.104)
"""Prevalences in the official test set, in alphabetical order of the findings."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=25_596)
    parser.add_argument("--patients", type=int, default=2_797)
    parser.add_argument("--replicates", type=int, default=1_000)
    parser.add_argument("--naive-replicates", type=int, default=5, help="of the plain loop, then extrapolated")
    arguments = parser.parse_args()
    predictions, table = draw_predictions(arguments.images, arguments.patients, seed=0)
    validation, train = draw_predictions(arguments.images // 3, arguments.patients, seed=1)

    started = time.perf_counter()
    resampling = draw_patients(predictions.patient_ids, arguments.replicates, seed=0)
    bootstrap_scores(rank_labels(predictions), resampling)
    ours = time.perf_counter() - started
    started = time.perf_counter()
    for replicate in range(arguments.naive_replicates):
        score_with_scikit_learn(predictions, resampling, replicate)
    plain = (time.perf_counter() - started) / arguments.naive_replicates * arguments.replicates
    started = time.perf_counter()
    rules = parse_rules(["youden", "f1", "sensitivity@0.95", "specificity@0.9"])
    fitted = fit_postprocessing(
        validation.labels,
        validation.probabilities,
        validation.targets,
        validation.patient_ids,
        rules,
        seed=0,
        source="validation",
    )
    calibrated = replace(predictions, calibrated=fitted.calibrate(predictions.labels, predictions.probabilities))
    inputs = EvaluationInputs(calibrated, table, train, data_record(), PredictionSource("benchmark"))
    evaluate_predictions(inputs, fitted, replicates=arguments.replicates)
    whole = time.perf_counter() - started

    size = f"{arguments.images:,} images x {len(NIH_LABELS)} labels, {arguments.replicates:,} replicates"
    print(f"AUROC and average precision, {size}: {ours:.1f} s")
    print(
        f"scikit-learn on each draw, extrapolated from {arguments.naive_replicates}: {plain:.0f} s, "
        f"{plain / ours:.0f} times as long"
    )
    print(f"all numbers of a report (fits, subgroups, baselines): {whole:.1f} s")


def draw_predictions(images: int, patients: int, seed: int) -> tuple[Predictions, pd.DataFrame]:
    """Draw predictions with an AUROC near 0.8, and their label table."""
    generator = np.random.default_rng(seed)
    patient = np.sort(generator.integers(patients, size=images))
    table = pd.DataFrame({"image_id": [f"{n}.png" for n in range(images)], "patient_id": patient.astype(str)})
    table["view_position"] = generator.choice(["PA", "AP"], images)
    table["sex"] = generator.choice(["F", "M"], images)
    table["age"] = generator.integers(1, 95, images).astype(float)
    truth = (generator.random((images, len(PREVALENCE))) < PREVALENCE).astype(np.float32)
    table = table.assign(**dict(zip(NIH_LABELS, truth.T, strict=True)))
    logits = generator.normal(-2, 1, truth.shape) + 1.2 * truth
    return predictions_of(table, NIH_LABELS, 1 / (1 + np.exp(-logits))), table


def score_with_scikit_learn(predictions: Predictions, resampling: Resampling, replicate: int) -> None:
    """Compute AUROC and average precision of every label in one replicate."""
    chosen = np.repeat(np.arange(len(predictions.image_ids)), resampling.weights(replicate).astype(int))
    for scores, truth in zip(predictions.probabilities.T, predictions.targets.T, strict=True):
        roc_auc_score(truth[chosen], scores[chosen])
        average_precision_score(truth[chosen], scores[chosen])


def data_record() -> dict[str, object]:
    settings = {"split": "official", "seed": 0, "views": None}
    return {
        "source": "nih",
        "synthetic": False,
        "subset": False,
        "files": {},
        "skipped": 0,
        "leaked": 0,
        "splits": {},
    } | {"settings": settings}


if __name__ == "__main__":
    main()
