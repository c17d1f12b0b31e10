"""Model files and films, as pytest finds fixtures."""

from tests.model_files import film, films, model, model_file

__all__ = ["film", "films", "model", "model_file"]
