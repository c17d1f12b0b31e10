"""Heat maps of a network: Grad-CAM, localization against annotated boxes, and sanity checks."""
