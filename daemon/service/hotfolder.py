"""The inbox, as the loop sees it: scans when it is time, passes on ready pairs to be claimed, and says why the others wait."""

import os
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from itertools import chain, islice

from loguru import logger

from daemon.claiming.batches import Batches
from daemon.claiming.claims import GROUP, Claims
from daemon.claiming.control_files import read_control
from daemon.claiming.downloads import Downloads
from daemon.claiming.earlier_results import EarlierResults
from daemon.contract.names import to_bytes, to_text
from daemon.contract.records import AnyRecord, Job, Noted, Returned
from daemon.contract.words.printable import in_one_line
from daemon.fs import FileSystem
from daemon.intake import (
    Late,
    Memory,
    Ready,
    Rules,
    Taken,
    awaits_rest,
    batch_under_way,
    grew,
    lacks_end,
    names_due,
    put_back,
    recall,
    round_robin,
    step,
    taken,
)
from daemon.intake import Waiting as Unready
from daemon.intake.names import SOURCE_NAME, folder_above
from daemon.jobs import decide
from daemon.journal import UnreplayableError
from daemon.journal.ledger import Ledger
from daemon.outbox.status_files import MAX_WAITING
from daemon.outbox.waiting_list import Group, Groups, WaitingList, grouped, shared
from daemon.platform.memory import give_back_large_blocks
from daemon.settings import Settings
from daemon.watch import Watch

#: With `--once`, the log explains waits longer than this many seconds, which is longer than files take to settle.
_WORTH_LOGGING = 5.5
_MAX_LOGGED = 10
#: Seconds of claiming for each second of scanning, while there are pairs left to claim.
_TAKING_PER_LOOKING = 9.0
#: The most pairs that are claimed but still in intake's memory.
_MAX_UNREPORTED = 4000
#: Seconds until the rest of a job's folder is looked at again.
_FOLLOW_SECONDS = 2.0


class HotFolder:
    """Scans the inbox, and passes pairs that are ready to `claims`.

    Args:
        fs: the disk.
        settings: the settings of the home.
        ledger: the jobs.
        claims: claims the pairs.
        batches: closes finished batch folders.
        earlier: moves the rest of job folders whose pictures were claimed.
        wake: called from other threads when there is a reason to scan.
        clock: returns monotonic seconds.
    """

    def __init__(
        self,
        fs: FileSystem,
        settings: Settings,
        ledger: Ledger,
        claims: Claims,
        batches: Batches,
        earlier: EarlierResults,
        wake: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        give_back_large_blocks()
        self._fs = fs
        self._ledger = ledger
        self._claims = claims
        self._batches = batches
        self._earlier = earlier
        self._clock = clock
        self._downloads = Downloads()
        self._limit = settings.queue.max_pending
        intake = settings.intake
        self.watch = Watch(
            settings.paths.inbox_bytes,
            wake,
            read_control=read_control,
            rescan_seconds=intake.rescan_seconds,
            poll_seconds=intake.poll_seconds,
        )
        self._memory = Memory(
            rules=Rules(
                settle_local=intake.settle_seconds,
                settle_network=intake.settle_network_seconds,
                preset_grace=intake.grace_seconds,
                batch_quiet=intake.batch_quiet_seconds,
            )
        )
        self._unready: tuple[Unready, ...] | None = None
        #: What waits, in groups, and the list that they were made of.
        self._groups: Groups = {}
        self._groups_of: tuple[Unready, ...] | None = None
        self._again_at = float("inf")
        self._backlog: deque[Ready] = deque()
        self._looked_at = float("-inf")
        self._logged: set[tuple[bytes, bytes]] = set()
        self._done: list[Ready] = []
        #: Names of the files of pairs that were claimed since the last scan, by folder.
        self._claimed_names: dict[bytes, set[bytes]] = {}
        self._needs_scan = False
        self._kept: dict[bytes, str] = {}
        #: Why pairs could not be claimed since the last scan, by folder and name of the picture.
        self._put_back: dict[tuple[bytes, bytes], str] = {}
        #: Why pairs that need a person could not be claimed, by folder and name of each of their files.
        self._stuck: dict[tuple[bytes, bytes], str] = {}
        self._not_before = float("-inf")
        self._closed: str | None = None

    def remember(self, now: float) -> None:
        """Learn from the jobs which pictures an earlier process claimed. `now`: monotonic seconds."""
        for folder in self._ledger.jobs.batches:
            self._memory = batch_under_way(self._memory, to_bytes(folder), now)
        by_folder: dict[str, list[Taken]] = {}
        for job in self._from_inbox():
            by_folder.setdefault(job.accepted.folder, []).append(_taken(job, now))
        for folder, pictures in by_folder.items():
            if folder.endswith(f"/{to_text(SOURCE_NAME)}"):
                # The rest of a job's folder may not have followed its picture yet.
                self._memory = batch_under_way(self._memory, to_bytes(folder), now)
            self._memory = recall(self._memory, to_bytes(folder), pictures, now)
        for job in self._ledger.jobs.returned.values():
            self.picture_returned(job, now)

    def _from_inbox(self) -> Iterator[Job]:
        """The jobs in memory whose pictures came from the inbox: those that ended, then the live ones."""
        jobs = self._ledger.jobs
        return (job for job in chain(jobs.ended.values(), jobs.live.values()) if job.accepted.redo_of is None)

    def close(self, why: str | None) -> None:
        """Stop claiming pairs; `why` is the reason that the waiting list gives. None: claim pairs again."""
        self._closed = why

    # -- when -------------------------------------------------------------------------------------------------------------

    def next_turn(self, now: float, *, woken: bool) -> float:
        """When `turn` is due next, in monotonic seconds. `woken`: whether there is a new reason to scan."""
        return now if self._can_take() else self._next_look(now, woken=woken)

    def _next_look(self, now: float, *, woken: bool) -> float:
        due = [self.watch.next_at, self._again_at]
        if woken:
            due.append(now)
        return max(min(due), self._not_before) if self._backlog else min(due)

    def _can_take(self) -> bool:
        return bool(self._backlog) and self._closed is None and self._vacant() > 0

    def _vacant(self) -> int:
        """How many more pairs the queue can hold. Accepted pairs that cannot be moved yet do not use up room."""
        jobs = self._ledger.jobs
        return self._limit - (jobs.pending - len(jobs.unclaimed))

    # -- scanning and claiming --------------------------------------------------------------------------------------------

    def turn(self, now: float, *, woken: bool, clock: Callable[[], float]) -> bool:
        """Scan if it is time. Then claim one group of ready pairs, if the queue has room.

        While there are many pairs to claim, scanning may use only a small part of the time. A flood of pictures is therefore
        scanned once, and not again after each group. Pictures that arrive meanwhile come after the flood anyway.

        Args:
            now: monotonic seconds.
            woken: whether there is a new reason to scan.
            clock: returns monotonic seconds.

        Returns:
            Whether the inbox was scanned.

        Raises:
            JournalError: the process must stop.
        """
        looked = now >= self._next_look(now, woken=woken)
        if looked:
            self._look(now)
        spent = clock() - now
        if self._can_take():
            room = min(GROUP, self._vacant(), len(self._backlog))
            self._take([self._backlog.popleft() for _ in range(room)], now)
        if looked:
            self._not_before = clock() + _TAKING_PER_LOOKING * spent
        return looked

    def _look(self, now: float) -> None:
        self._report_claimed(now)
        names = names_due(self._memory, now)
        # Look at the names of claimed pairs as well: if a claim was dropped, its files are still there.
        names |= {folder: names.get(folder, frozenset()) | several for folder, several in self._claimed_names.items()}
        self._claimed_names, self._needs_scan = {}, False
        self._put_back = {}
        seen = self.watch.scan(names)
        if seen is None:
            self._backlog.clear()
            return
        self._looked_at = now
        decision = step(self._memory, seen.scan, seen.hints)
        self._memory = decision.memory
        if self._unready != decision.waiting:
            self._unready = decision.waiting
        self._again_at = float("inf") if decision.check_again_at is None else decision.check_again_at
        enough = len(decision.ready) <= min(GROUP, self._vacant())
        self._backlog = deque(decision.ready if enough else round_robin(decision.ready))
        for notice in decision.notices:
            logger.warning("{}: {}", to_text(notice.name), notice.reason)
        if decision.late:
            self._report(decision.late)
        inbox = self.watch.inbox
        wanted = ((folder, name) for folder, several in decision.downloads.items() for name in several)
        self._downloads.ask((os.path.join(inbox, folder, name) for folder, name in wanted), now)
        self._batches.forget_all_but({folder.name for folder in seen.scan.folders})
        self._kept = {}
        for end in decision.finished:
            if end.from_job:
                self._follow(end.folder, now)
            elif not end.leftovers and (reason := self._batches.close(end.folder)) is not None:
                self._kept[end.folder] = f"all its pictures were taken; {reason}"

    def _follow(self, source: bytes, now: float) -> None:
        """Let the rest of a job's folder follow its picture. `source`: the job's source/, as a path from the inbox."""
        again, why = self._earlier.follow(source)
        if why is not None:
            self._kept[folder_above(source) or b""] = why
        if again:
            self._again_at = min(self._again_at, now + _FOLLOW_SECONDS)

    def _report_claimed(self, now: float) -> None:
        """Tell intake's memory which pairs were claimed. Each change copies the whole memory, so many are reported at once."""
        self._memory = taken(self._memory, self._done, now)
        for pair in self._done:
            self._claimed_names.setdefault(pair.folder, set()).update(entry.name for entry in pair.entries)
        self._done = []

    def _report(self, several: Collection[Late]) -> None:
        """Report sidecars that arrived after their picture was claimed, in the status of that picture's job."""
        jobs = self._ledger.jobs
        taken_as = {(job.accepted.folder, job.image.name): job.job_id for job in self._from_inbox()}
        for late in several:
            sidecar, image = to_text(late.sidecar.name), to_text(late.image)
            logger.warning("{} was not used: it came after its picture {} had been taken", sidecar, image)
            job_id = taken_as.get((to_text(late.folder), image))
            job = jobs.find(job_id) if job_id is not None else None
            # The sentence says "here", so it stays true if the picture is dropped again together with this sidecar.
            warning = f"{sidecar} came after {image} had been taken and was not used here: drop both again together."
            if job_id is not None and job is not None and warning not in job.notes:
                try:
                    self._ledger.record(Noted(job=job_id, warning=warning))
                except UnreplayableError as error:
                    logger.error("what came too late for {} cannot be recorded: {}", job_id, error)

    def _take(self, ready: list[Ready], now: float) -> None:
        claimed = self._claims.claim(ready)
        self._done += claimed.done
        if len(self._done) >= _MAX_UNREPORTED:
            self._report_claimed(now)
        for pair in ready:
            for entry in pair.entries:
                self._stuck.pop((pair.folder, entry.name), None)
        for one in claimed.dropped:
            self._put_back[one.pair.folder, one.pair.image.name] = one.reason
            if one.for_a_person:
                self._stuck |= {(one.pair.folder, entry.name): one.reason for entry in one.pair.entries}
            if one.unfinished is not None:
                self._memory = lacks_end(self._memory, one.pair, one.unfinished, now + one.seconds, now)
            else:
                self._memory = put_back(self._memory, one.pair, now, one.reason, grew=one.grew)
        self._needs_scan = True
        # Judge the pairs that were put back again soon, and the files that belonged to claimed pictures.
        self._again_at = min(self._again_at, now + self._memory.rules.check_spacing)

    def was_incomplete(self, job: Job) -> None:
        """Handle a claimed picture that turned out to be incomplete: files in its folder must settle for longer from now on."""
        self._memory = grew(self._memory, to_bytes(job.accepted.folder), self._clock())

    def on_record(self, record: AnyRecord) -> None:
        """Handle a record that took effect. Only `Returned` matters: it means that a picture is in the inbox again."""
        if isinstance(record, Returned):
            self.picture_returned(self._ledger.jobs.live[record.job], self._clock())

    def picture_returned(self, job: Job, now: float) -> None:
        """Handle a job's picture that is in the inbox again because the end of the file is missing. `now`: monotonic seconds."""
        self._report_claimed(now)
        left = max(0.0, job.retry_at - time.time())
        self._memory = awaits_rest(
            self._memory, to_bytes(job.accepted.folder), to_bytes(job.image.name), now + min(left, decide.REST_SECONDS), now
        )

    # -- reporting --------------------------------------------------------------------------------------------------------

    def waiting(self) -> WaitingList:
        """The waiting list, as far as it is shown."""
        groups = dict(self._grouped())
        if self._backlog and not self._can_take():
            reason = self._closed or f"the queue is full: {self._limit - self._vacant():,} pending"
            # Only the first ones are looked at: there may be tens of thousands, and each job that ends changes the list.
            some = ((pair.folder, pair.image.name, reason) for pair in islice(self._backlog, MAX_WAITING))
            first = [one for group in grouped(some).values() for one in group.first]
            groups[b"", reason] = Group(first, len(self._backlog))
        return shared(groups)

    def _grouped(self) -> Groups:
        """Everything that waits but the backlog. Without a change, nothing is sorted again."""
        unready, held = self._unready or (), self._put_back | self._held()
        known = self._stuck | held
        if not known and not self._kept and self._groups_of is unready:
            return self._groups
        # A held file usually also waits for another reason, but counts only once.
        for item in unready if held else ():
            held.pop((item.folder, item.name), None)
        entries = (
            (item.folder, item.name, known.get((item.folder, item.name)) or self._kept.get(item.name, item.reason))
            for item in unready
        )
        groups = grouped(chain(entries, ((folder, name, why) for (folder, name), why in held.items())))
        if not known and not self._kept:
            self._groups, self._groups_of = groups, unready
        return groups

    def pictures_in(self, folder: str) -> int:
        """How many pictures in a folder of the inbox will be taken, as far as it was scanned."""
        known = self._memory.folders.get(to_bytes(folder))
        if known is None:
            return 0
        settling = sum(any(item.will_resolve for item in waits) for waits in known.waits.values())
        return settling + sum(map(len, known.ready.values()))

    def _held(self) -> dict[tuple[bytes, bytes], str]:
        """Why accepted pictures cannot be moved, by folder and name of the picture."""
        jobs = self._ledger.jobs.unclaimed
        return {
            (to_bytes(job.accepted.folder), to_bytes(job.image.name)): f"it cannot be moved yet: {why}"
            for job_id, why in self._claims.held.items()
            if (job := jobs.get(job_id))
        }

    def reason_to_wait(self) -> str | None:
        """A sentence that says why accepted pictures cannot be moved into the outbox; None if they can."""
        why = next(iter(self._claims.held.values()), None)
        return why and f"{len(self._claims.held):,} accepted pictures cannot be moved into the outbox yet: {why}"

    def is_done(self) -> bool:
        """Whether nothing waits in the inbox, or only things that need a person.

        If the result is False, the log explains each longer wait once, because somebody is waiting for the command to end.
        """
        if self._unready is None or self._backlog or self._needs_scan:
            return False
        awaited = [
            item
            for item in self._unready
            if item.will_resolve and item.name not in self._kept and (item.folder, item.name) not in self._stuck
        ]
        if self._again_at - self._looked_at > _WORTH_LOGGING:
            for item in awaited[:_MAX_LOGGED]:
                if (item.folder, item.name) not in self._logged:
                    self._logged.add((item.folder, item.name))
                    logger.info("waiting for {}: {}", _shown(item.folder, item.name), item.reason)
        return not awaited


def _taken(job: Job, now: float) -> Taken:
    """The picture of a job, as a picture that was claimed earlier. `now`: monotonic seconds."""
    age = max(0.0, time.time() - datetime.fromisoformat(job.created_at).timestamp())
    sidecar = next((to_bytes(file.name) for file in job.accepted.files if file.role == "sidecar"), None)
    return Taken(to_bytes(job.image.name), now - age, sidecar)


def _shown(folder: bytes, name: bytes) -> str:
    return in_one_line(to_text(os.path.join(folder, name)))
