"""`doctor --repair`: puts the journal in order, and adds the job folders that it does not list. Only while no daemon runs.

Nothing is deleted. A segment with the wrong name is renamed, a damaged one is set aside, and a lost one gets a marker file.
"""

import os
from collections.abc import Iterator

from pydantic import ValidationError

from daemon import __version__, clock
from daemon.contract.commands import command
from daemon.contract.records import AnyRecord
from daemon.doctor.adopting import UnfitError, adopt
from daemon.doctor.survey import Survey, job_folders
from daemon.errors import Refusal
from daemon.fs import FileSystem, make_folders, write_atomic
from daemon.jobs.fold import Jobs
from daemon.journal import Journal, hold_lock
from daemon.journal.chain import Link
from daemon.journal.segment import NEWER_HINT
from daemon.journal.segment_files import aside_path, segment_numbers, segment_path
from daemon.outbox import Health, Outbox
from daemon.outbox.ownership import Ownership, refuse_strangers, who
from daemon.platform.process import boot_id
from daemon.settings import Settings

#: How many jobs are added with one sync.
_AT_ONCE = 100
_MAX_BYTES = 64 << 20
_MOVING = b"moving-"


def repair(settings: Settings, fs: FileSystem) -> Iterator[str]:
    """Repair what can be repaired, and yield one sentence for each step.

    Raises:
        Refusal: a daemon is running, the home was never used, inbox or outbox belong to another home, or a newer version wrote
            the journal.
        OSError: the disk failed. The steps done so far remain, and the repair can be repeated.
    """
    paths = settings.paths
    try:
        lock = hold_lock(fs, paths.lock_bytes, os.getpid())
    except FileNotFoundError:
        raise Refusal("there is nothing to repair: no daemon has run here yet", hint=f"Start it: {command('run')}") from None
    try:
        yield from _put_in_order(fs, paths.journal_bytes)
        refuse_strangers(Ownership(fs, who(fs, paths)), paths)
        yield from _add_unlisted(settings, fs)
        _end_refusal(settings, fs)
    finally:
        lock.release()


def _survey(fs: FileSystem, folder: bytes) -> Survey:
    survey = Survey(fs, folder)
    survey.look()
    if any(segment.newer for segment in survey.segments):
        newer = next(segment for segment in survey.segments if segment.newer)
        raise Refusal(newer.damage or "the journal was written by a newer Multiplane", hint=NEWER_HINT)
    if unreadable := next((segment for segment in survey.segments if segment.unreadable), None):
        raise Refusal(unreadable.damage or "the journal cannot be read", hint="Make sure that the disk works, then try again.")
    return survey


def _put_in_order(fs: FileSystem, folder: bytes) -> Iterator[str]:
    make_folders(fs, folder)  # somebody may have removed it
    _complete_renames(fs, folder)
    survey = _survey(fs, folder)
    for number, segment in zip(survey.numbers, survey.segments, strict=True):
        if segment.damage:
            target = _free(fs, aside_path(folder, number, "damaged"))
            fs.rename(segment_path(folder, number), target)
            yield f"{segment.path} is damaged and was set aside as {os.fsdecode(target)}."
    yield from _put_in_place(fs, folder, survey.links)
    survey = _survey(fs, folder)
    for fault in survey.faults():
        for number in fault.lost:
            path = aside_path(folder, number, "lost")
            text = f"{clock.now()}: {fault.text}; the journal continues without it.\n"
            write_atomic(fs, path, text.encode(), durable=True)
            yield f"The journal continues although {fault.text}."
    fs.sync_dir(folder)


def _put_in_place(fs: FileSystem, folder: bytes, links: list[Link]) -> Iterator[str]:
    """Rename each segment that has the name of another one.

    If several files are the same segment, the one whose records go furthest remains. If several go equally far, the one with the
    right name remains. The others are set aside.
    """
    right = _right_numbers(links)
    remaining: dict[int, Link] = {}
    for link in sorted(links, key=lambda link: (-link.last, right[link.number] != link.number)):
        remaining.setdefault(right[link.number], link)
    wrong = [link for link in links if remaining.get(link.number) is not link]
    for link in wrong:
        fs.rename(segment_path(folder, link.number), _moving_path(folder, link))
    for link in wrong:
        number = right[link.number]
        if remaining[number] is not link:
            target = _free(fs, aside_path(folder, number, "damaged").replace(b"damaged-", b"double-"))
            what = f"is {number:08}.jsonl a second time, and was set aside as {os.fsdecode(os.path.basename(target))}"
        else:
            target, what = segment_path(folder, number), f"is {number:08}.jsonl, and was renamed accordingly"
        fs.rename(_moving_path(folder, link), target)
        yield f"{link.number:08}.jsonl {what}."


def _complete_renames(fs: FileSystem, folder: bytes) -> None:
    """Complete the renames of an interrupted repair."""
    for entry in fs.scan(folder):
        if entry.name.startswith(_MOVING):
            numbers = segment_numbers(fs, folder)
            first, last = (numbers[0], numbers[-1]) if numbers else (1, 0)
            free = next(number for number in range(first, last + 2) if number not in numbers)
            fs.rename(os.path.join(folder, entry.name), segment_path(folder, free))


def _right_numbers(links: list[Link]) -> dict[int, int]:
    """The right number of each segment. The key is the number that its name has now.

    Segments that older versions wrote do not state their number. They are put in the order of their records.
    """
    right = {link.number: link.start.number for link in links if link.start.number is not None}
    old = [link for link in links if link.start.number is None]
    right |= {
        link.number: number
        for link, number in zip(
            sorted(old, key=lambda link: (link.first, link.last)), sorted(link.number for link in old), strict=True
        )
    }
    return right


def _moving_path(folder: bytes, link: Link) -> bytes:
    return os.path.join(folder, _MOVING + b"%08d" % link.number)


def _free(fs: FileSystem, path: bytes) -> bytes:
    """A free path: this path or, if it exists, the path with the first free number appended."""
    free, count = path, 1
    while True:
        try:
            fs.lstat(free)
        except FileNotFoundError:
            return free
        free, count = path + b".%d" % count, count + 1


def _add_unlisted(settings: Settings, fs: FileSystem) -> Iterator[str]:
    paths, outbox = settings.paths, Outbox(fs, settings.paths.outbox_bytes)
    if not outbox.is_healthy():
        raise Refusal(
            f"the outbox {paths.outbox} is not there, or lacks its marker file .multiplane", hint="Mount its disk first."
        )
    folders, survey = job_folders(fs, paths.outbox_bytes), _survey(fs, paths.journal_bytes)
    if not survey.numbers and not survey.known:
        raise Refusal(
            "the journal was never begun", hint=f"Start the daemon once ({command('run')}), stop it, then repair again."
        )
    unlisted, _forgotten = survey.find_unlisted(paths.outbox_bytes, folders) if survey.numbers else (folders, 0)
    if not unlisted:
        return
    journal = Journal(fs, paths.journal_bytes, clock=clock.now, version=__version__, boot_id=boot_id())
    recovered, jobs = journal.recover(), Jobs()
    for entry in recovered.entries:
        jobs.apply(entry)
    journal.begin(recovered.segment + 1, recovered.next_seq, list(jobs.live.values()), jobs.other_records())
    records: list[AnyRecord] = []
    for place, name in enumerate(unlisted):
        try:
            records += adopt(
                fs,
                outbox,
                name,
                sequence=recovered.next_seq + place,
                max_bytes=int(settings.limits.max_output_bytes),
                max_seconds=settings.worker.max_timeout_seconds,
            )
            yield f"{name} was added."
        except (UnfitError, OSError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            yield f"{name} was not added: {why}. It stays as it is."
        if len(records) >= 2 * _AT_ONCE:
            journal.append(records)
            records = []
    if records:
        journal.append(records)
    journal.close()


def _end_refusal(settings: Settings, fs: FileSystem) -> None:
    """If daemon.json says why the daemon refused to start, remove that: it was repaired. The next start says what is left."""
    path = os.path.join(settings.paths.outbox_bytes, b"daemon.json")
    try:
        health = Health.model_validate_json(fs.read(path, _MAX_BYTES))
    except (FileNotFoundError, ValidationError):
        return
    if health.state == "refused":
        stopped = health.model_copy(update={"state": "stopped", "problem": None, "hint": None})
        write_atomic(fs, path, stopped.model_dump_json(indent=2).encode(), durable=False)
