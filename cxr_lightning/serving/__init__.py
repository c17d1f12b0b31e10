"""A trained model for images that come without a data set."""
