"""Evaluation of predictions: numbers per label and subgroup, baselines, comparability and comparisons."""
