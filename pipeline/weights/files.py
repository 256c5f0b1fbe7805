"""Handles files in the models folder: writes them atomically, lists them, and recognises what is not a regular file."""

import os
import stat

RECORD = "multiplane.json"
"""The record of a fetch, in the model's folder (`pipeline.weights.store.Record`)."""


def write_whole(path: str, text: str) -> None:
    """Write a file atomically and durably; only this user can write to it."""
    part = path + ".part"
    with open(part, "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o644)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def files_of(where: str) -> dict[str, str]:
    """Relative name → path of every file, except the record and file managers' files (names with a leading dot)."""
    found = {}
    for base, folders, names in os.walk(where):
        folders[:] = [each for each in folders if not each.startswith(".")]
        for each in names:
            file = _relative(base, each, where)
            if not each.startswith(".") and file not in (RECORD, RECORD + ".part"):
                found[file] = os.path.join(base, each)
    return dict(sorted(found.items()))


def first_not_plain(where: str) -> str | None:
    """The relative name of a link, pipe or other special file in a folder; None if there is none."""
    for base, folders, names in os.walk(where):
        for each in sorted(folders + names):
            mode = os.lstat(os.path.join(base, each)).st_mode
            if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                return _relative(base, each, where)
    return None


def size_of(path: str) -> int:
    """Bytes of a file; -1 if it does not exist."""
    try:
        return os.stat(path).st_size
    except OSError:
        return -1


def _relative(base: str, name: str, where: str) -> str:
    return os.path.relpath(os.path.join(base, name), where).replace(os.sep, "/")
