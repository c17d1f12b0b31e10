"""Training runs: model and callbacks, the run's folder, and resuming after an interruption."""
