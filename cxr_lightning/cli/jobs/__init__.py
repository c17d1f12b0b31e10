"""The longer jobs of the verbs of ``cxr``. A job is imported when its verb runs, so that help needs no torch."""
