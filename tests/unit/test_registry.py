"""The registry of output formats and depth sources: its words are unique, and its modules exist."""

import importlib.util
import re

from daemon.contract.registry import DEPTH_SOURCES, FORMATS
from daemon.contract.status import KINDS


def test_each_word_names_one_thing() -> None:
    assert len(set(KINDS)) == len(KINDS), "a format has the word of another one, or of a file that every result has"
    words = ["auto", *(source.word for source in DEPTH_SOURCES)]
    assert len(set(words)) == len(words)
    names = [source.name for source in DEPTH_SOURCES]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch("[a-z][a-z0-9-]*", word) for word in (*words, *names, *(each.word for each in FORMATS)))


def test_each_module_lies_in_the_folder_of_its_kind() -> None:
    for entries, package in ((FORMATS, "pipeline.export."), (DEPTH_SOURCES, "pipeline.depth.")):
        for entry in entries:
            assert entry.module.startswith(package)
            assert importlib.util.find_spec(entry.module) is not None, f"there is no {entry.module}"
