"""From a Hydra configuration to a run: the only part that knows Hydra.

Heavy packages are imported when a run starts, so that ``--help`` answers at once.
"""
