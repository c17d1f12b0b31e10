"""An example of a package that brings parts of its own to cxr_lightning; importing it registers its metric and verb."""

from . import metrics as metrics
from . import verbs as verbs
