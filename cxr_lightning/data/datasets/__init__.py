"""Layouts of data sets on disk, a module each."""
