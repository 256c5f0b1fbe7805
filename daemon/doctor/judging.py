"""Turns facts into findings: what is fine, what is worth knowing, and what is wrong and what to do about it."""

import os
import shlex
from collections.abc import Iterator

from daemon.clock import local
from daemon.contract.commands import as_code, command
from daemon.contract.words.printable import counted
from daemon.doctor.judging_cluster import cluster
from daemon.doctor.judging_folders import cannot_report, folders, permissions, space
from daemon.doctor.judging_machine import after_jobs, device, formats, program, sandbox, videos, weights
from daemon.doctor.judging_services import services
from daemon.doctor.model import Facts, Finding, JournalFacts
from daemon.journal.segment import NEWER_HINT
from daemon.outbox import SILENT_SECONDS
from daemon.platform.files import permission_hint
from daemon.platform.service.current import restarting, starting

#: Seconds. FAT and some servers store times in steps of 2 s, so smaller differences mean nothing.
_CLOCK_NOTE, _CLOCK_PROBLEM = 3.0, 60.0
_DAY = 86400.0
#: How many folders a sentence names.
_SOME = 3
_REPAIR = command("doctor", "--repair")
_BROKEN = (
    "Restore what is missing from a backup; until then no daemon starts. To continue without it, stop the daemon, then run: "
    f"{_REPAIR}"
)
_GAP = (
    "Put it back from a backup. Work continues without it: only part of the history is missing. To do without it, stop the "
    f"daemon, then: {_REPAIR}"
)
_UNLISTED = (
    f"If they are yours, stop the daemon and add them: {_REPAIR}. This only lists them; nothing "
    "runs unless you retry it. If they are not yours, remove them."
)
_LOGS = command("service", "logs")


def judge(facts: Facts) -> tuple[Finding, ...]:
    """All findings, grouped by area."""
    # A problem of these may be why no daemon can start.
    code, disks = program(facts), (*folders(facts), *permissions(facts), *space(facts))
    history, machines = tuple(_journal(facts)), tuple(cluster(facts))
    prevented = any(finding.grade == "problem" for finding in (code, *disks, *history, *machines))
    return (
        *_settings(facts),
        *after_jobs(facts),
        code,
        *formats(facts),
        *videos(facts),
        *disks,
        *_clock(facts),
        *history,
        *_daemon(facts, prevented=prevented),
        *services(facts),
        *(() if facts.barred else (*weights(facts), *device(facts))),  # they are asked through the interpreter
        *sandbox(facts),
        *machines,
    )


def _settings(facts: Facts) -> Iterator[Finding]:
    yield Finding(area="settings", grade="ok", sentence="The settings are valid.")
    health = facts.daemon.health
    if facts.daemon.holds and health and health.settings not in (None, facts.settings.get("digest")):
        sentence = "The running daemon was started with other settings; the ones checked here apply from its next start."
        yield Finding(
            area="settings",
            grade="note",
            sentence=sentence,
            hint=f"Restart it: {restarting(installed=_is_installed(facts))}.",
        )


def _clock(facts: Facts) -> Iterator[Finding]:
    clock = facts.clock
    if clock.wall < clock.program - _DAY:
        sentence = "The clock of this machine is behind: it is earlier than the program was installed."
        hint = "Set the clock; times in the journal and in job ids would be wrong."
        yield Finding(area="clock", grade="problem", sentence=sentence, hint=hint)
        return
    if clock.stamp is None:
        return
    off = clock.stamp - clock.wall
    if abs(off) <= _CLOCK_NOTE:
        yield Finding(area="clock", grade="ok", sentence="The clock looks right; new files in the inbox carry its time.")
        return
    way = "ahead of" if off > 0 else "behind"
    yield Finding(
        area="clock",
        grade="problem" if abs(off) > _CLOCK_PROBLEM else "note",
        sentence=f"The clock of the inbox's disk is {abs(off):.0f} s {way} that of this machine.",
        hint="Let both machines set their clocks from the network (NTP).",
    )


def _journal(facts: Facts) -> Iterator[Finding]:
    journal = facts.journal
    if journal.trouble:
        sentence = f"The journal cannot be read: {journal.trouble.text}."
        yield Finding(area="journal", grade="problem", sentence=sentence, hint=f"{_capital(permission_hint())}.")
        return
    yield from _order(journal)
    if not journal.segments:
        if journal.faults or journal.unlisted:
            return
        yield Finding(area="journal", grade="ok", sentence="The journal is empty: nothing was ever dropped here.")
        return
    last = journal.segments[-1] if journal.segments else None
    for segment in journal.segments:
        if segment.damage and segment.newer:
            yield Finding(area="journal", grade="problem", sentence=f"{_capital(segment.damage)}.", hint=NEWER_HINT)
        elif segment.damage:
            yield Finding(
                area="journal",
                grade="problem",
                sentence=f"{_capital(segment.damage)}.",
                hint=_damage_hint(segment.path, is_last=segment is last),
            )
        elif segment.torn_line and segment is last and not facts.daemon.holds and not journal.is_incomplete(segment):
            # While the daemon runs, it may just be writing the end of the last segment. Those of older ones were set aside.
            sentence = f"The last write to {segment.path} was cut off in line {segment.torn_line}; nothing depended on it."
            yield Finding(
                area="journal", grade="note", sentence=sentence, hint="You need not do anything: the next start sets it aside."
            )
    stale = [segment.path for segment in journal.segments if segment.stale_index and not journal.is_incomplete(segment)]
    if stale:
        sentence = f"The index of {stale[0]}{f' and of {len(stale) - 1:,} more' if stale[1:] else ''} is out of date."
        hint = f"You need not do anything: it is ignored, and {command('stats')} or another search writes it again."
        yield Finding(area="journal", grade="note", sentence=sentence, hint=hint)
    if journal.aside:
        count = len(journal.aside)
        sentence = f"Cut-off writes were set aside {'once' if count == 1 else f'{count} times'}, after a crash or a power loss."
        hint = f"You need not do anything; they are beside the journal: {', '.join(journal.aside[-3:])}"
        yield Finding(area="journal", grade="note", sentence=sentence, hint=hint)
    if not journal.faults and not any(segment.damage for segment in journal.segments):
        records, files = sum(segment.records for segment in journal.segments), len(journal.segments)
        sentence = f"The journal can be read from end to end: {counted(records, 'record')} in {counted(files, 'file')}."
        yield Finding(area="journal", grade="ok", sentence=sentence)


def _order(journal: JournalFacts) -> Iterator[Finding]:
    """Findings about segments that are missing or in the wrong place, and about job folders that the journal does not list."""
    for fault in journal.faults:
        hint = _BROKEN if fault.kind == "break" else _GAP
        yield Finding(area="journal", grade="problem", sentence=f"The journal is incomplete: {fault.text}.", hint=hint)
    if journal.unlisted:
        count = len(journal.unlisted)
        some = ", ".join(journal.unlisted[:3]) + (" …" if count > _SOME else "")
        are = "folders in the outbox are" if count > 1 else "folder in the outbox is"
        sentence = f"{count:,} job {are} unknown to the journal: {some}."
        yield Finding(area="journal", grade="problem", sentence=sentence, hint=_UNLISTED)
    if journal.forgotten:
        are = "folders are" if journal.forgotten > 1 else "folder is"
        sentence = f"{journal.forgotten:,} job {are} older than the history that is kept (history.keep_days)."
        yield Finding(area="journal", grade="note", sentence=sentence, hint="You need not do anything: keep them or remove them.")


def _damage_hint(path: str, *, is_last: bool) -> str:
    """What to do about a damaged segment."""
    aside = f"{os.path.dirname(path)}/damaged-{os.path.basename(path)}"
    move = as_code(shlex.join(("mv", path, aside)))
    if not is_last:
        return f"Restore it from a backup. Only the history is missing otherwise; to look back without it: {move}"
    return (
        f"Restore it from a backup. To continue without it, stop the daemon, then: {move}. "
        f"Jobs accepted since the file was begun are then unknown until {_REPAIR} adds them; jobs that "
        "ended since may run once more."
    )


def _daemon(facts: Facts, *, prevented: bool) -> Iterator[Finding]:
    """Yield the findings about the daemon. `prevented`: whether another finding may be why none can start."""
    daemon, health = facts.daemon, facts.daemon.health
    if not daemon.holds:
        installed = _is_installed(facts)
        hint = f"Start it with: {starting(installed=installed)}"
        if health and health.state == "refused":
            sentence = f"The daemon refused to start at {local(health.alive_at)}: {health.problem or 'no reason was reported'}."
            if prevented:
                hint = health.hint or f"See the log: {_LOGS}"
                yield Finding(area="daemon", grade="problem", sentence=sentence, hint=hint)
                return
            hint = f"Nothing that prevents it is found now. {hint}"
        elif health and health.state != "stopped":
            sentence = f"The daemon isn't running; it ended unexpectedly after {local(health.alive_at)}."
        else:
            sentence = "The daemon isn't running."
        yield Finding(area="daemon", grade="problem" if installed else "note", sentence=sentence, hint=hint)
    elif cannot_report(facts) and (health is None or daemon.silent_seconds > SILENT_SECONDS):
        since = f" since {local(health.alive_at)}" if health else ""
        sentence = f"A daemon is running, but hasn't reported{since}, because it cannot write into the outbox."
        hint = "Solve the problem of the outbox first: then it reports again and continues by itself."
        yield Finding(area="daemon", grade="note", sentence=sentence, hint=hint)
    elif health is None:
        sentence = "A daemon holds this home, but daemon.json cannot be read."
        yield Finding(area="daemon", grade="problem", sentence=sentence, hint=f"Look at the log: {_LOGS}")
    elif daemon.silent_seconds > SILENT_SECONDS and daemon.suspended:
        sentence = f"The daemon (process {health.pid}) has been suspended, as with Ctrl-Z, since {local(health.alive_at)}."
        hint = f"Let it continue: {as_code('fg')} in the terminal where it runs, or {as_code(f'kill -CONT {health.pid}')}."
        yield Finding(area="daemon", grade="problem", sentence=sentence, hint=hint)
    elif daemon.silent_seconds > SILENT_SECONDS:
        sentence = f"The daemon (process {health.pid}) hasn't responded for {daemon.silent_seconds:.0f} s; perhaps a share hangs."
        hint = f"Check the share; then restart it: {restarting(installed=_is_installed(facts))}."
        yield Finding(area="daemon", grade="problem", sentence=sentence, hint=hint)
    elif health.state in ("offline", "paused"):
        sentence = f"The daemon is {health.state}: {health.problem or 'no reason was reported'}."
        yield Finding(
            area="daemon",
            grade="problem",
            sentence=sentence,
            hint=health.hint or "Work resumes automatically when that is fixed.",
        )
    else:
        jobs = f"{len(health.processing)} running, {health.pending} pending, {health.waiting_total} waiting in the inbox"
        yield Finding(area="daemon", grade="ok", sentence=f"The daemon is {health.state} (process {health.pid}): {jobs}.")
        if health.problem:
            yield Finding(area="daemon", grade="note", sentence=f"It says: {health.problem}.", hint=health.hint)
        for polled in health.polled:
            if polled.share:
                folder = f"The folder {polled.folder} in the inbox" if polled.folder else "The inbox"
                sentence = f"{folder} is on a network share ({polled.share}): it is polled, and files in it settle for longer."
                yield Finding(area="daemon", grade="ok", sentence=sentence)
        if health.last_fault:
            sentence = f"Watching the inbox failed and was repaired: {health.last_fault}"
            yield Finding(area="daemon", grade="note", sentence=sentence)


def _is_installed(facts: Facts) -> bool:
    """Whether the service is installed for this home."""
    home = facts.service.home
    return home is not None and os.path.realpath(home) == os.path.realpath(facts.home)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
