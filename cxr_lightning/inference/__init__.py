"""Any model file, and images, to probabilities."""
