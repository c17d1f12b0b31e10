"""Train, evaluate and explain multi-label chest X-ray classifiers."""
