"""The inbox, seen from the loop: look when it is time, take what is ready, say why the rest waits."""

import os
from collections.abc import Callable, Collection
from typing import Literal

from loguru import logger

from daemon.contract.names import to_text
from daemon.errors import JobError
from daemon.fs import FileSystem
from daemon.intake import Control, Decision, Entry, Memory, Ready, Rules, put_back, step, taken
from daemon.intake import Waiting as Unready
from daemon.outbox import Waiting
from daemon.service.claims import GROUP, Claims
from daemon.settings import Settings
from daemon.sidecar import MAX_BYTES, parse
from daemon.watch import Watch


class HotFolder:
    """Brings what is dropped to the claims. `wake` is called from other threads when it is worth to look."""

    def __init__(self, fs: FileSystem, settings: Settings, claims: Claims, wake: Callable[[], None]) -> None:
        self._fs = fs
        self._claims = claims
        self._limit = settings.queue.max_pending
        self.watch = Watch(settings.paths.inbox_bytes, wake, read_control=self.read_control)
        intake = settings.intake
        self._memory = Memory(
            rules=Rules(
                settle_local=intake.settle_seconds,
                settle_network=intake.settle_network_seconds,
                preset_grace=intake.grace_seconds,
                batch_quiet=intake.batch_quiet_seconds,
            )
        )
        self._decision: Decision | None = None
        self._queue_is_full = False

    def read_control(self, path: bytes, entry: Entry, kind: Literal["preset", "batch"]) -> Control:
        """Read a `_preset.yaml` or `job.yaml` as far as intake needs it; what is wrong with it is said in the answer."""
        try:
            found = parse(self._fs.read(path, MAX_BYTES + 1), name=to_text(entry.name))
        except JobError as error:
            return Control(kind, entry, problem=error.message)
        except OSError as error:
            return Control(kind, entry, problem=f"{to_text(entry.name)} cannot be read: {error.strerror}")
        images = found.fields.get("images")
        patterns = tuple(str(image) for image in images) if isinstance(images, Collection) else None
        return Control(kind, entry, images=patterns)

    def next_look(self, now: float, pending: int) -> float:
        """When to look again, monotonic seconds; `pending` jobs are in the queue."""
        due = [self.watch.next_at]
        if self._decision:
            if self._decision.look_again_at is not None:
                due.append(self._decision.look_again_at)
            if self._decision.ready and pending < self._limit:
                due.append(now)
        return min(due)

    def look(self, now: float, pending: int) -> None:
        """Look, and take what is ready as far as the queue has room; `pending` jobs are in it.

        Raises:
            JournalError: the process must stop.
        """
        seen = self.watch.look(self._decision.look_at if self._decision else None)
        if seen is None:
            return
        decision = step(self._memory, seen.look, seen.hints)
        self._memory = decision.memory
        for late in decision.late:
            logger.warning("{} came after its picture {} had been taken", to_text(late.sidecar.name), to_text(late.image))
        for notice in decision.notices:
            logger.warning("{}: {}", to_text(notice.name), notice.reason)
        room = max(0, self._limit - pending)
        self._take(decision.ready[: min(room, GROUP)], now)
        self._queue_is_full = len(decision.ready) > room
        self._decision = decision

    def _take(self, ready: tuple[Ready, ...], now: float) -> None:
        if not ready:
            return
        done = self._claims.take(ready)
        self._memory = taken(self._memory, done, now)
        for pair in ready:
            if not any(pair is one for one in done):
                self._memory = put_back(self._memory, pair, now, "it changed while it was being taken", grew=True)

    def waiting(self, pending: int) -> tuple[Waiting, ...]:
        """Everything in the inbox that is not taken, in plain words."""
        if self._decision is None:
            return ()
        items = [Waiting(path=_shown(item.folder, item.name), reason=item.reason) for item in self._decision.waiting]
        if self._queue_is_full:
            reason = f"the queue is full: {pending:,} pending"
            here = self._still_ready()
            items += [Waiting(path=_shown(pair.folder, pair.image.name), reason=reason) for pair in here]
        return tuple(items)

    def _still_ready(self) -> list[Ready]:
        folders = self._memory.folders
        return [
            pair
            for pair in (self._decision.ready if self._decision else ())
            if pair.folder in folders and pair.image.name in folders[pair.folder].tracks
        ]

    def is_done(self) -> bool:
        """Whether nothing is left that time alone would bring: all that waits, waits for a person."""
        return self._decision is not None and not self._still_ready() and not any(map(_resolves, self._decision.waiting))


def _resolves(item: Unready) -> bool:
    return item.will_resolve


def _shown(folder: bytes, name: bytes) -> str:
    return to_text(os.path.join(folder, name))
