"""Backbones: one object each, in a module per kind of network, and the registry of their names."""
