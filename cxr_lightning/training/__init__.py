"""Training runs: what is built, what is written, and how a run goes on after an interruption."""
