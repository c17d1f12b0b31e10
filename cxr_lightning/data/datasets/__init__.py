"""Layouts of data sets on disk, one module each, and the registry of their names."""
