"""The synthetic data set: radiograph-like chest images with the 14 findings planted, in NIH's layout.

The set lets one try the program and its tests with nothing to download; it teaches nothing about patients.
"""
