"""Decides which templates are held, and until when (Linux; elsewhere there are none).

A template (`pipeline.worker.template`) is loaded when a worker of its kind is wanted, which takes as long as such a worker would
take to load, and forks that worker and the following ones. It is replaced when the program, its configuration or the installed
models change, and after many forks. It goes when memory is short, and when no worker of its kind was wanted for a while.

Nothing depends on a template: without one, a worker is started as a program and loads everything itself.
"""

from collections.abc import Callable

from loguru import logger

from daemon.contract.messages import Warm
from daemon.supervisor.starting.templates import KINDS, Templates
from daemon.troubles import Troubles

#: A template is dropped when no worker of its kind was wanted for this many seconds. People drop photos in bursts; afterwards
#: several hundred megabytes are better left to other programs.
IDLE_SECONDS = 600.0
#: A template is replaced after this many forks. Nothing is known to wear out; this bounds what is not known.
MAX_FORKS = 1_000
#: Bytes that a template holds: 75, 410 and 475 MB were measured, of which its workers share all but what they write to. If less
#: memory is available, templates are dropped; one is loaded when three times that is available.
_HOLDS: dict[Warm, int] = {"light": 100 << 20, "depth": 450 << 20, "painting": 520 << 20}
_COMES_BACK = 3
#: Seconds until another is loaded after one died or could not be started, so that a broken installation does not keep the machine
#: busy.
_PAUSE_SECONDS = 60.0
#: Seconds between two looks at the available memory and at what is wanted.
_LOOK_SECONDS = 10.0


class KeptTemplates:
    """Keeps a template for each kind of worker that was wanted lately.

    Args:
        templates: the supervisor's templates.
        started_from: returns what a worker started now depends on; if that changes, a template is useless.
        available: returns how many bytes of memory are available.
        enabled: whether templates are wanted at all.
    """

    def __init__(
        self,
        templates: Templates,
        *,
        started_from: Callable[[], tuple[object, ...]],
        available: Callable[[], int],
        enabled: bool,
    ) -> None:
        self._templates, self._started_from, self._available = templates, started_from, available
        self._enabled = enabled
        #: What each template was loaded for.
        self._loaded: dict[Warm, tuple[object, ...]] = {}
        self._wanted_at: dict[Warm, float] = {}
        self._not_before: dict[Warm, float] = {}
        self._looked = float("-inf")
        self._troubles = Troubles()

    def is_loading(self, warm: Warm) -> bool:
        """Whether a template of this kind is being loaded."""
        return self._templates.is_held(warm) and not self._templates.is_ready(warm)

    def can_fork(self, warm: Warm) -> bool:
        """Whether a ready template has everything that a worker of this kind loads."""
        best = self._templates.best_for(warm)
        return best is not None and KINDS.index(best) >= KINDS.index(warm)

    def want(self, warm: Warm, now: float) -> None:
        """Note that workers of this kind are wanted, and load a template if there is none. `now`: monotonic seconds."""
        if not self._enabled:
            return
        self._wanted_at[warm] = now
        if self._templates.is_held(warm) or now < self._not_before.get(warm, now):
            return
        if self._available() < _HOLDS[warm] * _COMES_BACK:
            return
        trouble = f"the template of {warm}"
        try:
            if self._templates.start(warm):
                self._loaded[warm] = self._started_from()
            self._troubles.over(trouble)
        except OSError as error:
            self._troubles.tell(trouble, f"no template for workers ({warm}) can be started: {error.strerror}")
            self._not_before[warm] = now + _PAUSE_SECONDS

    def look(self, now: float) -> None:
        """Notice templates that were lost. Every few seconds, also drop those that are not wanted any more or cost too much."""
        for warm in [kind for kind in self._loaded if not self._templates.is_held(kind)]:
            del self._loaded[warm]
            self._not_before[warm] = now + _PAUSE_SECONDS
        if not self._loaded or now < self._looked + _LOOK_SECONDS:
            return
        self._looked = now
        available = self._available()
        for warm in tuple(self._loaded):
            if available < _HOLDS[warm]:
                self._drop(warm, "memory is short")
            elif now - self._wanted_at[warm] >= IDLE_SECONDS:
                self._drop(warm, "no worker of its kind was wanted for a while")

    def drop_useless(self) -> None:
        """Drop templates that must not fork the next worker. Call this before one is forked."""
        started_from = self._started_from() if self._loaded else ()
        for warm, loaded in tuple(self._loaded.items()):
            if loaded != started_from:
                self._drop(warm, "the program, its configuration or the models changed")
            elif self._templates.forks(warm) >= MAX_FORKS:
                self._drop(warm, "it has forked many workers")

    def _drop(self, warm: Warm, why: str) -> None:
        logger.debug("the template for workers ({}) is dropped: {}", warm, why)
        del self._loaded[warm]
        self._templates.drop(warm)
