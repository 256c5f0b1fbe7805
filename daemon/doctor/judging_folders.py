"""Judges the folders of a home: whether they are there, may be written, and have room."""

import errno
import os
import shlex
from collections.abc import Iterator, Sequence
from typing import cast

from daemon.amounts import size
from daemon.contract.commands import as_code, command
from daemon.doctor.model import Facts, Finding, Folder
from daemon.journal.journal import RESERVE_BYTES
from daemon.outbox.ownership import remedy_for_stranger, said_of_stranger
from daemon.platform.files import permission_hint

#: Free bytes needed to drop pictures, and for the journal. The settings say how many the outbox needs.
_LEAST_FREE = {"inbox": 16 << 20, "state folder": RESERVE_BYTES}
_NO_PERMISSION = (errno.EACCES, errno.EPERM)
_NO_FOLDER = (errno.ENOTDIR, errno.ELOOP)
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_READ_ONLY_HINT = (
    "Mount it so that it can be written; a system also mounts a disk read-only when it finds errors on it, so check it first. "
    "Nothing is lost, and work resumes automatically."
)
_FULL_HINT = "Free some space on it: the queue pauses until then and resumes automatically. Nothing is lost."


def folders(facts: Facts) -> Iterator[Finding]:
    """Yield the findings about whether the folders are there and are this home's."""
    fresh = not facts.journal.segments
    for folder in facts.folders:
        if not folder.there:
            yield _absent(folder, fresh=fresh)
        elif folder.marked is False and not fresh:
            sentence = (
                f"The {folder.name} {folder.path} lacks its marker file .multiplane: is it the mount point of an unmounted disk?"
            )
            touch = as_code(shlex.join(("touch", f"{folder.path}/.multiplane")))
            hint = f"Mount the disk; if this really is the {folder.name}, create the marker: {touch}"
            yield Finding(area="folders", grade="problem", sentence=sentence, hint=hint)
        elif folder.stranger is not None:
            sentence = f"{_capital(said_of_stranger(folder.name, os.fsencode(folder.path), folder.stranger))}."
            yield Finding(area="folders", grade="problem", sentence=sentence, hint=remedy_for_stranger(folder.name))
        elif folder.network and folder.name == "state folder":
            sentence = (
                f"The state folder {folder.path} is on a network share ({folder.network}), where locks and syncs may not hold."
            )
            yield Finding(area="folders", grade="problem", sentence=sentence, hint="Choose a home on a local disk.")
        else:
            where = f", on a network share ({folder.network})" if folder.network else ""
            yield Finding(area="folders", grade="ok", sentence=f"The {folder.name} is {folder.path}{where}.")


def _absent(folder: Folder, *, fresh: bool) -> Finding:
    trouble = folder.trouble
    if trouble and trouble.number == errno.ENOENT and fresh:
        if folder.writing:
            sentence = f"The {folder.name} {folder.path} cannot be created: {folder.writing.text}."
            hint = _READ_ONLY_HINT if folder.writing.number == errno.EROFS else f"{_capital(permission_hint())}."
            return Finding(area="folders", grade="problem", sentence=sentence, hint=hint)
        return Finding(
            area="folders", grade="note", sentence=f"The {folder.name} {folder.path} will be created at the first start."
        )
    if trouble and trouble.number in _NO_PERMISSION:
        hint = _capital(permission_hint()) + "."
        sentence = f"The {folder.name} {folder.path} cannot be read: {trouble.text}."
        return Finding(area="folders", grade="problem", sentence=sentence, hint=hint)
    if trouble and trouble.number in _NO_FOLDER:
        sentence = f"The {folder.name} {folder.path} is not a folder: a file or a link is in its place, or in that of one above."
        setting = (
            "choose another home"
            if folder.name == "state folder"
            else f"name another one in the settings (folders.{folder.name})"
        )
        return Finding(area="folders", grade="problem", sentence=sentence, hint=f"Move that away, or {setting}.")
    text = trouble.text if trouble else "it is not a folder"
    sentence = f"The {folder.name} {folder.path} is not there: {text}."
    hint = "Connect its disk or share, or change the folder in the settings."
    return Finding(area="folders", grade="problem", sentence=sentence, hint=hint)


def permissions(facts: Facts) -> Iterator[Finding]:
    """Yield the findings about whether files can be made in the folders and renamed from one to the other."""
    there = [folder for folder in facts.folders if folder.there]
    if facts.controlled:
        sentence, hint = f"{_capital(facts.controlled.message)}.", f"{facts.controlled.hint}."
        yield Finding(area="permissions", grade="problem", sentence=sentence, hint=hint)
    if facts.replaceable:
        sentence, hint = f"{_capital(facts.replaceable.message)}.", f"{facts.replaceable.hint}."
        yield Finding(area="permissions", grade="note", sentence=sentence, hint=hint)
    for folder in there:
        if folder.guarded:
            sentence = (
                f"The {folder.name} lies in {folder.guarded}, which macOS protects: the daemon needs permission to read it."
            )
            hint = "Allow it in System Settings, Privacy & Security, Files and Folders; or choose a home elsewhere."
            yield Finding(area="permissions", grade="note", sentence=sentence, hint=hint)
    read_only = [folder for folder in there if folder.writing and folder.writing.number == errno.EROFS]
    for several in _by_disk(read_only):
        sentence = f"The disk of {_named(several)} is read-only: {several[0].path} cannot be written."
        yield Finding(area="permissions", grade="problem", sentence=sentence, hint=_READ_ONLY_HINT)
    others = [folder for folder in there if folder.owner and folder.writing and folder.writing.number in _NO_PERMISSION]
    for owner in dict.fromkeys(folder.owner for folder in others):
        several = [folder for folder in others if folder.owner == owner]
        whose = "It belongs" if len(several) == 1 else "They belong"
        sentence = f"{_capital(facts.user)} may not write in {_named(several)} ({several[0].path}). {whose} to {owner}."
        hint = f"Run Multiplane as {owner}, or give {facts.user} the right to write there."
        yield Finding(area="permissions", grade="problem", sentence=sentence, hint=hint)
    for folder in there:
        trouble = folder.writing
        if trouble is None or folder in read_only or folder in others:
            continue
        if trouble.number in _NO_SPACE and _is_full(folder, facts):
            continue  # the check of the room says so
        sentence = f"No file can be created in the {folder.name} {folder.path}: {trouble.text}."
        hint = f"{_capital(permission_hint())}."
        if trouble.number in _NO_SPACE:
            hint = "Remove some files there: the disk is full, or it can hold no more files, or your share of it is used up."
        yield Finding(area="permissions", grade="problem", sentence=sentence, hint=hint)
    if len(there) < len(facts.folders) or any(folder.writing for folder in there):
        return
    if facts.moving is None:
        sentence = "Files can be created, and renamed from the inbox into the outbox."
        yield Finding(area="permissions", grade="ok", sentence=sentence)
    elif facts.moving.number == errno.EXDEV:
        sentence = "Inbox and outbox are on different file systems: pictures are copied, compared and removed instead of renamed."
        yield Finding(
            area="permissions", grade="note", sentence=sentence, hint="With both on one disk, taking a picture is instant."
        )
    else:
        sentence = f"A file cannot be renamed from the inbox into the outbox: {facts.moving.text}."
        hint = "Let the daemon's user write in both, and in outbox/.work."
        if facts.moving.number in (errno.ENOTDIR, errno.ELOOP):
            hint = "Remove that link or file from the outbox; the daemon makes the folder again."
        yield Finding(area="permissions", grade="problem", sentence=sentence, hint=hint)


def space(facts: Facts) -> Iterator[Finding]:
    """Yield the findings about the room on the disks, and how much of it the outbox takes."""
    wanted = cast("int", facts.settings.get("max_output_bytes", 0))
    for several in _by_disk([folder for folder in facts.folders if _is_full(folder, facts)]):
        free, needed = several[0].free or 0, max(_least(folder, facts) for folder in several)
        sentence = f"The disk of {_named(several)} is full: {size(free)} are free, {size(needed)} are needed."
        yield Finding(area="space", grade="problem", sentence=sentence, hint=_FULL_HINT)
    for folder in facts.folders:
        if folder.name != "outbox" or folder.free is None or _is_full(folder, facts):
            continue
        if folder.free < wanted:
            sentence = f"{size(folder.free)} are free for results; one may take up to {size(wanted)} (limits.max_output_bytes)."
            yield Finding(area="space", grade="note", sentence=sentence, hint="Free some space before large pictures arrive.")
        else:
            yield Finding(area="space", grade="ok", sentence=f"{size(folder.free)} are free for results.")
    if facts.use is not None and facts.use.jobs:
        jobs = "1 job" if facts.use.jobs == 1 else f"{facts.use.jobs:,} jobs"
        taken = f"{'' if facts.use.complete else 'more than '}{size(facts.use.bytes)}"
        sentence = f"The outbox takes {taken} for {jobs}."
        hint = f"To see what old jobs take: {command('prune', '--older-than', '30d', '--dry-run')}."
        yield Finding(area="space", grade="ok", sentence=sentence, hint=hint)


def cannot_report(facts: Facts) -> bool:
    """Whether a daemon cannot write its report, for a reason that the findings about the outbox name."""
    return any(folder.name == "outbox" and (not folder.there or folder.writing) for folder in facts.folders)


def _is_full(folder: Folder, facts: Facts) -> bool:
    return folder.free is not None and folder.free < _least(folder, facts)


def _least(folder: Folder, facts: Facts) -> int:
    """How many free bytes a folder's disk needs."""
    return cast("int", facts.settings.get("min_free_bytes", 0)) if folder.name == "outbox" else _LEAST_FREE[folder.name]


def _by_disk(several: Sequence[Folder]) -> list[list[Folder]]:
    """The folders that are on the same disk together. A folder whose disk is unknown is alone."""
    disks: dict[object, list[Folder]] = {}
    for folder in several:
        disks.setdefault(folder.path if folder.disk is None else folder.disk, []).append(folder)
    return list(disks.values())


def _named(several: Sequence[Folder]) -> str:
    *others, last = (f"the {folder.name}" for folder in several)
    return f"{', '.join(others)} and {last}" if others else last


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
