"""Prediction of images with any model file, and predictions files."""
