"""Where weights lie, and whether they are what was fetched.

The catalogue lists the models (`daemon.catalogues.models`). Fetched ones lie in `<models>/<name>/` with a record of every file's
SHA-256 beside them, which is checked each time they are used. A folder of one's own (`path:`) may have such a record; without
one its weights are named by their own hash. Only safetensors are ever loaded, and never code. Nothing that is imported here
opens a network connection: that is left to `fetching`, `default_fetch` and `hub`, which only `models fetch` and `models
fetch-default` import.
"""

from daemon.catalogues.models import Catalogue, Entry, Polarity
from pipeline.weights.catalogue import catalogue
from pipeline.weights.files import RECORD
from pipeline.weights.store import FileRecord, Record, Weights, folder, installed, locate, record

__all__ = [
    "RECORD",
    "Catalogue",
    "Entry",
    "FileRecord",
    "Polarity",
    "Record",
    "Weights",
    "catalogue",
    "folder",
    "installed",
    "locate",
    "record",
]
