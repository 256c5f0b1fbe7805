"""Finds, checks, records and removes the weights on this machine."""

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from typing import Literal

from pydantic import ValidationError

from daemon.catalogues.models import Catalogue, Entry
from daemon.contract.commands import RETRY, command
from daemon.contract.status import Frozen
from daemon.contract.words.validation import in_words
from daemon.errors import Refusal, WeightsCorrupt, WeightsMissing, is_passing
from pipeline.weights import first_use
from pipeline.weights.catalogue import entry_of
from pipeline.weights.files import RECORD, files_of, first_not_plain, size_of, write_whole
from pipeline.weights.hash_cache import HashCache

PARTIAL = ".fetch-"
"""Prefix of the folder into which a model is being fetched."""
REMOVED = ".removed-"
"""Prefix of a folder that is being removed."""

State = Literal["installed", "other revision", "damaged", "partly fetched", "not installed", "own folder", "folder missing"]


class FileRecord(Frozen):
    """One fetched file."""

    bytes: int
    sha256: str


class Record(Frozen):
    """multiplane.json: what was fetched. `revision` is the actual commit, even if a branch was asked for."""

    name: str
    repo: str | None
    revision: str
    licence: str
    files: dict[str, FileRecord]


@dataclass(frozen=True)
class Weights:
    """Installed weights that were checked.

    Attributes:
        name: of the model.
        entry: its entry in the catalogue.
        folder: absolute path of its files.
        revision: the commit they came from. A person's own folder without a record has `sha256:…`, the hash of its weights.
    """

    name: str
    entry: Entry
    folder: str
    revision: str

    def corrupt(self, sentence: str, detail: object = None) -> WeightsCorrupt:
        """The error to raise if these weights turn out to be unusable; the hint says what to do about this model."""
        return corrupt(self.name, self.entry, sentence, detail)


def corrupt(name: str, entry: Entry, sentence: str, detail: object = None) -> WeightsCorrupt:
    """The error to raise if a model's weights are unusable; its hint says what to do about this model."""
    own = f"Correct the files in {entry.path}"
    what = own if entry.path is not None else f"Fetch the model again ({command('models', 'fetch', name)})"
    return WeightsCorrupt(sentence, hint=f"{what}, then: {RETRY}.", detail=str(detail)[:2000] if detail else None)


def folder(name: str, models: str, listed: Catalogue | None = None) -> str:
    """The folder in which a model's files are, or would be.

    Args:
        name: a model of the catalogue.
        models: the folder for fetched weights.
        listed: the catalogue; the shipped one by default.

    Raises:
        WeightsMissing: no model with that name is listed.
    """
    return entry_of(name, listed).path or os.path.join(models, name)


def installed(name: str, models: str, listed: Catalogue | None = None) -> bool:
    """Whether a model is installed: its fetch was completed (the record comes last), or it is a person's folder with weights.

    This does not check the files; `locate` does. Damaged weights count as installed, so that nothing weaker replaces them.

    Raises:
        WeightsMissing: no model with that name is listed.
    """
    entry, where = entry_of(name, listed), folder(name, models, listed)
    return os.path.lexists(os.path.join(where, RECORD)) or (entry.path is not None and bool(_safetensors(where)))


def locate(name: str, models: str, listed: Catalogue | None = None, cache: HashCache | None = None) -> Weights:
    """Find a model's weights, and check them against the list of models and against the record of their fetch.

    Args:
        name: of the model.
        models: the folder for fetched weights.
        listed: the catalogue; the shipped one by default.
        cache: supplies the files' hashes; by default those stored in `models`, if there are any.

    Raises:
        WeightsMissing: they are not installed; the message names the command that fetches them.
        WeightsCorrupt: they do not match the list; a file is missing, changed, additional, a link or unreadable; or there are
            no safetensors.
        OSError: a disk error that may pass (`is_passing`).
    """
    entry, where = entry_of(name, listed), folder(name, models, listed)
    try:
        return _checked(name, entry, where, models, cache or HashCache(models))
    except WeightsCorrupt as reason:
        raise corrupt(name, entry, reason.message, reason.detail) from reason
    except OSError as reason:
        if is_passing(reason):
            raise
        sentence = f"The weights of {name} cannot be read: {reason.strerror or reason}."
        raise corrupt(name, entry, sentence, reason) from reason


def _checked(name: str, entry: Entry, where: str, models: str, cache: HashCache) -> Weights:
    record = record_of(where)
    if record is not None:
        if wrong := _unlisted(entry, record) or _unlike_the_first(record, models):
            raise WeightsCorrupt(f"The weights of {name} are not those of the list of models: {wrong}.")
        _verify(name, where, record, cache)
        revision = record.revision
    elif entry.path is None:
        raise WeightsMissing(
            f"The weights of {name} are not installed.",
            hint=f"Run: {command('models', 'fetch', name)}, then: {RETRY}.",
        )
    else:
        revision = _own_revision(name, where, cache)
    if not _safetensors(where):
        raise WeightsCorrupt(f"The folder of {name} ({where}) holds no safetensors; other kinds of weights are not loaded.")
    return Weights(name, entry, where, revision)


def record(name: str, where: str, entry: Entry, revision: str, cache: HashCache | None = None) -> Record:
    """Hash every file of a folder, then write the record next to them, atomically. The record makes a model count as installed.

    Args:
        name: of the model.
        where: the folder.
        entry: its entry in the catalogue.
        revision: the commit the files came from.
        cache: supplies the files' hashes, and stores them.

    Returns:
        What was written.
    """
    cache = cache or HashCache(os.path.dirname(where), recompute=True)
    files = {file: FileRecord(bytes=size_of(path), sha256=cache.sha256(path)) for file, path in files_of(where).items()}
    made = Record(name=name, repo=entry.repo, revision=revision, licence=entry.licence, files=files)
    write_whole(os.path.join(where, RECORD), made.model_dump_json(indent=2) + "\n")
    return made


def state(name: str, models: str, listed: Catalogue | None = None) -> State:
    """The state of a model, judged by names and sizes; no hash is computed.

    Raises:
        WeightsMissing: no model with that name is listed.
    """
    entry, where = entry_of(name, listed), folder(name, models, listed)
    if entry.path is not None:
        return "own folder" if _safetensors(where) else "folder missing"
    try:
        made = record_of(where)
    except WeightsCorrupt:
        return "damaged"
    if made is None:
        return "partly fetched" if os.path.isdir(os.path.join(models, PARTIAL + name)) else "not installed"
    if any(size_of(os.path.join(where, file)) != each.bytes for file, each in made.files.items()):
        return "damaged"
    if entry.commit not in (None, made.revision) or made.files.keys() != set(entry.files):
        return "other revision"
    return "damaged" if _unlisted(entry, made) else "installed"


def remove(name: str, models: str, listed: Catalogue | None = None) -> int:
    """Remove a model's fetched weights, and what an interrupted fetch left of them.

    Returns:
        How many bytes this freed.

    Raises:
        Refusal: it is a person's own folder, which is never touched.
        WeightsMissing: no model with that name is listed, or nothing of it is there.
    """
    entry = entry_of(name, listed)
    if entry.path is not None:
        raise Refusal(
            f"{name} is a folder of your own ({entry.path}) and is not removed.", hint="Remove it yourself, if you want to."
        )
    folders = [each for each in (os.path.join(models, name), os.path.join(models, PARTIAL + name)) if os.path.lexists(each)]
    if not folders:
        raise WeightsMissing(f"The weights of {name} are not installed.", hint=f"{command('models', 'list')} shows what is.")
    freed = sum(map(_bytes_in, folders))
    for each in folders:
        remove_folder(each)
    return freed


def remove_folder(where: str) -> None:
    """Remove a folder; it disappears at once and as a whole. A link is removed, not followed. A missing folder is no error."""
    if os.path.islink(where):
        os.unlink(where)
    elif os.path.exists(where):
        aside = os.path.join(os.path.dirname(where), REMOVED + os.path.basename(where))
        shutil.rmtree(aside, ignore_errors=True)  # left by an interrupted removal; if it stays, the rename reports it
        os.rename(where, aside)
        shutil.rmtree(aside)


def record_of(where: str) -> Record | None:
    """The record of a folder's weights; None if there is none.

    Raises:
        WeightsCorrupt: the record cannot be read.
    """
    try:
        with open(os.path.join(where, RECORD), "rb") as file:
            return Record.model_validate_json(file.read())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValidationError) as reason:
        raise WeightsCorrupt(f"The record of the weights in {where} cannot be read.", detail=in_words(reason)) from reason


def _unlisted(entry: Entry, made: Record) -> str | None:
    """How a record contradicts the list of models, as the rest of a sentence; None if they agree."""
    if entry.path is not None:
        return None
    if entry.commit not in (None, made.revision):
        return f"they are from commit {made.revision[:12]}, not {entry.revision}"
    if missing := sorted(set(entry.files) - made.files.keys()):
        return f"{missing[0]} is not among them"
    if more := sorted(made.files.keys() - set(entry.files)):
        return f"{more[0]} is among them"
    for file, each in sorted(made.files.items()):
        if entry.sizes.get(file, each.bytes) != each.bytes:
            return f"{file} has {each.bytes:,} bytes, not {entry.sizes[file]:,}"
        if entry.sha256.get(file, each.sha256) != each.sha256:
            return f"{file} has that size but different content"
    return None


def _unlike_the_first(made: Record, models: str) -> str | None:
    """How a record differs from the first fetch of its commit, as the rest of a sentence; None if it does not."""
    files = {file: each.sha256 for file, each in made.files.items()}
    file = first_use.first_changed(models, made.repo, made.revision, files) if made.repo else None
    return f"{file} is not what came at the first fetch" if file else None


def _verify(name: str, where: str, made: Record, cache: HashCache) -> None:
    """Compare every file with the record. Any additional file is refused, because libraries pick files up by name."""
    if odd := first_not_plain(where):
        raise WeightsCorrupt(f"The folder of {name} holds {odd}, which is a link or not a plain file; neither is allowed there.")
    there = files_of(where)
    for file in sorted(made.files.keys() - there.keys()):
        raise WeightsCorrupt(f"The weights of {name} are incomplete: {file} is missing in {where}.")
    for file in sorted(there.keys() - made.files.keys()):
        raise WeightsCorrupt(f"The folder of {name} holds {file}, which was not fetched with it.")
    for file, expected in sorted(made.files.items()):
        if size_of(there[file]) != expected.bytes or cache.sha256(there[file]) != expected.sha256:
            raise WeightsCorrupt(f"The weights of {name} are damaged: {file} is not what was recorded when it was fetched.")


def _own_revision(name: str, where: str, cache: HashCache) -> str:
    """An identifier for weights without a record: the hash of their hashes."""
    if not os.path.isdir(where):
        raise WeightsMissing(f"The folder of {name} ({where}) does not exist.", hint="Correct its path in the list of models.")
    hashes = {file: cache.sha256(os.path.join(where, file)) for file in _safetensors(where)}
    whole = hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()
    return f"sha256:{next(iter(hashes.values())) if len(hashes) == 1 else whole}"


def _bytes_in(where: str) -> int:
    if os.path.islink(where):
        return 0
    return sum(size_of(os.path.join(base, name)) for base, _, names in os.walk(where) for name in names)


def _safetensors(where: str) -> list[str]:
    return [file for file in files_of(where) if file.endswith(".safetensors")]
