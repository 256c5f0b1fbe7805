"""Finds the weights of models, and checks that they are what was fetched.

The catalogue lists the models (`daemon.catalogues.models`). Fetched weights are in `<models>/<name>/`, next to a record of every
file's SHA-256. Each use of the weights checks them against the record. A person's own folder (`path:`) may have such a record;
without one, its weights are identified by their own hash. Only safetensors are ever loaded, and never code. Nothing imported
here opens a network connection: only `fetching`, `default_fetch` and `hub` do, and only `models fetch` and
`models fetch-default` import them.
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
