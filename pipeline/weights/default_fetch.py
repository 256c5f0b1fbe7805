"""Fetches the default depth model for another command: announces the fetch in one line, and gives up soon if the hub is slow.

`make demo`, `multiplane run` on a terminal and `multiplane service install` continue whether or not the fetch works. So a hub
that does not answer, or is too slow, may delay them only for seconds. What has arrived is kept, and the next fetch resumes there.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Collection
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotDoneError

from huggingface_hub import get_session
from rich.console import Console
from rich.markup import escape

from daemon.catalogues.models import Catalogue
from daemon.contract.commands import unmarked
from daemon.errors import JobError, LicenceNotAccepted, Refusal
from pipeline.weights import hub, licences
from pipeline.weights.catalogue import entry_of
from pipeline.weights.fetch_progress import Progress
from pipeline.weights.fetching import fetch
from pipeline.weights.hub import Snapshot

ANSWER_SECONDS = 5.0
"""The hub must say within this time what the repository contains."""
WINDOW_SECONDS = 10.0
"""The speed is measured over windows of this length, so that a short interruption does not count as a slow line."""
SLOWEST = 100_000
"""Bytes per second; a slower fetch is given up. At this speed the default model takes a quarter of an hour, which is too long
for a fetch that nobody asked for."""


def fetch_default(models: str, listed: Catalogue, later: str, console: Console) -> bool:
    """Fetch the default depth model, or say in one line why not.

    Args:
        models: the folder for fetched weights.
        listed: the list of models.
        later: the command that fetches it, as a person can type it.
        console: receives the messages.

    Returns:
        Whether the model is installed now.
    """
    name = listed.default_depth
    progress = _Announced(console, name, listed)
    speed_check = SpeedCheck(progress)
    with progress:
        try:
            _refuse_unaccepted(name, models, listed)
            fetch(name, models, speed_check, listed=listed, pause=speed_check.pause, look_up=answer_within(ANSWER_SECONDS))
        except (JobError, Refusal) as reason:
            why = unmarked(reason.message)
        except OSError as reason:
            why = f"{models} cannot be written: {reason.strerror or reason}."
        else:
            why = ""
    if not why:
        console.print(f"{name} is installed in {models}.", markup=False)
        return True
    console.print(f"No depth model yet. {why} Depth is estimated for now. To fetch the model later: {later}", markup=False)
    return False


def _refuse_unaccepted(name: str, models: str, listed: Catalogue) -> None:
    """Raise LicenceNotAccepted if a person must still accept the licence by name: this fetch never accepts one."""
    entry = entry_of(name, listed)
    if licences.needed(entry, models):
        raise LicenceNotAccepted(f"{name} has a licence without commercial use, {entry.licence}, to be accepted by name.")


def answer_within(seconds: float) -> Callable[[str, str, Collection[str]], Snapshot]:
    """`hub.look_up` with a limit on its whole duration.

    The client itself limits neither the DNS lookup of the host nor an answer that arrives byte by byte.

    Returns:
        A function like `hub.look_up`. It raises Refusal if there is no answer within `seconds`, or if `hub.look_up` refuses.
    """

    def look_up(repo: str, revision: str, wanted: Collection[str]) -> Snapshot:
        get_session()  # loads certificates, which must not count as the hub's time
        answer: Future[Snapshot] = Future()

        def ask() -> None:
            try:
                answer.set_result(hub.look_up(repo, revision, wanted))
            except BaseException as reason:  # noqa: BLE001 - raised again in the waiting thread
                answer.set_exception(reason)

        # A daemon thread, because one that still waits must not keep the process from ending.
        threading.Thread(target=ask, daemon=True).start()
        try:
            return answer.result(seconds)
        except NotDoneError:
            raise Refusal(
                f"The hub at {hub.endpoint()} did not answer within {seconds:.0f} s.",
                hint="Check the network connection.",
                exit_status=hub.UNAVAILABLE,
            ) from None

    return look_up


class SpeedCheck:
    """Passes on the progress of a fetch, and aborts the fetch if the hub is too slow.

    Args:
        report: receives the progress.
        clock: returns monotonic seconds.
        sleep: waits for that many seconds.
    """

    def __init__(
        self, report: Progress, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._report, self._clock, self._sleep = report, clock, sleep
        self._begin_window()

    def begin(self, commit: str, total: int, have: int) -> None:
        """See `pipeline.weights.fetching.Report`."""
        self._report.begin(commit, total, have)
        self._begin_window()

    def arrived(self, count: int) -> None:
        """See `pipeline.weights.fetching.Report`.

        Raises:
            Refusal: too few bytes arrived in the last window.
        """
        self._report.arrived(count)
        self._came += max(0, count)
        self._check_speed(0.0)

    def checked(self, name: str, size: int) -> None:
        """See `pipeline.weights.fetching.Report`. A new window begins, because the check's time must not count as the hub's."""
        self._report.checked(name, size)
        self._begin_window()

    def pause(self, seconds: float) -> None:
        """Wait before the next attempt to connect.

        Raises:
            Refusal: too few bytes arrived in the last window, or too few will have arrived when the pause is over.
        """
        self._check_speed(seconds)
        self._sleep(seconds)

    def _check_speed(self, ahead: float) -> None:
        passed = self._clock() - self._since + ahead
        if passed < WINDOW_SECONDS:
            return
        if self._came < SLOWEST * passed:
            raise Refusal(
                f"The hub at {hub.endpoint()} is too slow: {self._came / 1e3:,.0f} kB came in {passed:.0f} s.",
                hint="Fetch the model when the network is faster.",
                exit_status=hub.UNAVAILABLE,
            )
        self._begin_window()

    def _begin_window(self) -> None:
        self._since, self._came = self._clock(), 0


class _Announced(Progress):
    """Says in one line what is fetched, from where, how large it is and under which licence. Then shows only the bar."""

    def __init__(self, console: Console, name: str, listed: Catalogue) -> None:
        super().__init__(console)
        self._name, self._entry = name, entry_of(name, listed)
        self._asking = console.status(f"Asking {escape(hub.endpoint())} for the depth model {escape(name)} …")
        if console.is_terminal:
            self._asking.start()

    def __exit__(self, *reason: object) -> None:
        self._asking.stop()
        super().__exit__(None, None, None)

    def _announce(self, commit: str, total: int, have: int) -> None:
        self._asking.stop()
        gone_on = f" ({have / 1e6:,.1f} MB of it already here)" if have else ""
        self._console.print(
            f"Fetching {self._name}, the model that finds depth in bare photos: {total / 1e6:,.1f} MB{gone_on}, "
            f"{self._entry.licence}, from {hub.endpoint()}/{self._entry.repo}. To leave it out: --no-model (make: MODEL=none).",
            markup=False,
        )

    def checked(self, name: str, size: int) -> None:
        """Report nothing: only errors are printed."""


def end_with_standard_input() -> None:
    """Interrupt this process at SIGTERM and when standard input closes, as Ctrl-C does: nobody waits for the fetch any more."""
    # SIGTERM, because a shell makes the processes that it runs in the background ignore SIGINT (Ctrl-C).
    signal.signal(signal.SIGTERM, signal.default_int_handler)

    def wait() -> None:
        while os.read(0, 1 << 10):  # not `sys.stdin`: the interpreter takes its lock when it ends
            pass
        signal.pthread_kill(main, signal.SIGTERM)

    main = threading.get_ident()
    threading.Thread(target=wait, daemon=True).start()
