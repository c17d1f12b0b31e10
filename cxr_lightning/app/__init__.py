"""The programs train.py and evaluate.py: the only package that uses Hydra.

Heavy packages are imported when a run starts, so that ``--help`` answers at once.
"""
