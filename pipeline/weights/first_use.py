"""Remembers the hashes of the first fetch of a model whose hashes are not known in advance. Later fetches must match.

The hashes are stored by repository and commit, and they survive `models remove`. So a hub that later serves other bytes for the
same commit is noticed.
"""

import json
import os
from collections.abc import Mapping

from daemon.errors import WeightsCorrupt
from pipeline.weights.files import write_whole

FIRST_USE = ".first-use.json"
"""A file in the models folder: `owner/name@commit` → file → SHA-256."""


def first_changed(models: str, repo: str, commit: str, files: Mapping[str, str]) -> str | None:
    """The name of the first file that differs from the first fetch; None if none does, or if this is the first fetch.

    Args:
        models: the folder for fetched weights.
        repo: `owner/name`.
        commit: the full hash.
        files: name → SHA-256.

    Raises:
        WeightsCorrupt: the stored list cannot be read.
    """
    known = _read(models).get(f"{repo}@{commit}", {})
    return next((file for file, sha256 in sorted(files.items()) if known.get(file, sha256) != sha256), None)


def remember(models: str, repo: str, commit: str, files: Mapping[str, str]) -> None:
    """Store these hashes. Those that are already known stay unchanged.

    Raises:
        WeightsCorrupt: the stored list cannot be read.
        OSError: it cannot be written.
    """
    known = _read(models)
    key = f"{repo}@{commit}"
    changed = known | {key: dict(files) | known.get(key, {})}
    if changed != known:
        write_whole(os.path.join(models, FIRST_USE), json.dumps(changed, indent=2))


def _read(models: str) -> dict[str, dict[str, str]]:
    path = os.path.join(models, FIRST_USE)
    try:
        with open(path, encoding="utf-8") as file:
            known = json.load(file)
        return {str(key): {str(name): str(sha256) for name, sha256 in files.items()} for key, files in known.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError) as reason:
        raise WeightsCorrupt(
            f"The list of what was fetched first, {path}, cannot be read.",
            hint="Correct its permissions, or remove it: what is installed is then trusted once more.",
        ) from reason
