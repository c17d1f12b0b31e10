"""Metrics of predictions: ranking, operating points, calibration, localization, and their intervals."""
