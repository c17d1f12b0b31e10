"""Files, checks of values, processes and signals: small tools of which no one knows images or models."""
