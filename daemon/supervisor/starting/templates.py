"""Holds the templates: at most one for each kind of worker. `daemon.running.kept_templates` decides which, and until when.

A template that dies, refuses to fork or does not answer is dropped, and workers are started as programs.
"""

import os
import selectors
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import get_args

from loguru import logger

from daemon.contract.messages import Warm
from daemon.platform.template import POSSIBLE, Template
from daemon.supervisor.environment import template_environment
from daemon.supervisor.rules import SupervisorRules
from daemon.supervisor.states import NEVER

#: The kinds in order: each loads everything that the one before it loads, and more.
KINDS: tuple[Warm, ...] = get_args(Warm)
#: Seconds between two looks at whether a killed template is gone; it takes milliseconds.
_GONE_SECONDS = 0.01


@dataclass(slots=True)
class _Held:
    """A template, whether it is ready, when it is given up if it is not ready by then, and how many workers it has forked."""

    process: Template
    by: float
    ready: bool = False
    forks: int = 0


class Templates:
    """The templates of one supervisor.

    Args:
        selector: the loop's selector, where the templates are registered.
        argv: the command of a worker, to which `--warm W` and `--template-fd N` are appended.
        rules: the limits and delays of workers.
        clock: the supervisor's clock.
        possible: whether this command understands `--template-fd`.
    """

    def __init__(
        self,
        selector: selectors.BaseSelector,
        argv: Sequence[str],
        rules: SupervisorRules,
        clock: Callable[[], float],
        *,
        possible: bool,
    ) -> None:
        self._possible = possible and POSSIBLE
        self._selector, self._argv, self._rules, self._clock = selector, tuple(argv), rules, clock
        self._held: dict[Warm, _Held] = {}
        self._ending: list[Template] = []
        #: Why templates of a kind are of no use on this machine. That will not change while this program runs.
        self._refused: dict[Warm, str] = {}

    def start(self, warm: Warm) -> bool:
        """Start to load a template of this kind, unless there is one. Returns False if that is impossible.

        Raises:
            OSError: it could not be started; nothing is left running.
        """
        if not self._possible or warm in self._refused:
            return False
        if warm not in self._held:
            environment = template_environment(os.environ, threads=self._rules.threads)
            process = Template([*self._argv, "--warm", warm], environment)
            self._held[warm] = _Held(process, by=self._clock() + self._rules.start_seconds)
            self._selector.register(process.fileno(), selectors.EVENT_READ, lambda _mask: self._hear(warm, process))
        return True

    def is_held(self, warm: Warm) -> bool:
        """Whether there is a template of exactly this kind, loading or ready."""
        return warm in self._held

    def is_ready(self, warm: Warm) -> bool:
        """Whether a template of exactly this kind can fork."""
        return warm in self._held and self._held[warm].ready

    def forks(self, warm: Warm) -> int:
        """How many workers the template of this kind has forked; 0 if there is none."""
        return self._held[warm].forks if warm in self._held else 0

    def pids(self) -> dict[Warm, int]:
        """The processes of the templates, by kind."""
        return {warm: held.process.pid for warm, held in self._held.items()}

    def best_for(self, warm: Warm) -> Warm | None:
        """The kind of the ready template from which a worker that loads `warm` has the least left to load; None if there is none.

        A template that has more is as good. If there is none, one that has less is better than nothing.
        """
        ready = [kind for kind in KINDS if self.is_ready(kind)]
        place = KINDS.index(warm)
        more = [kind for kind in ready if KINDS.index(kind) >= place]
        return more[0] if more else ready[-1] if ready else None

    def use(self, warm: Warm) -> Template:
        """The ready template of exactly this kind, for one more fork."""
        held = self._held[warm]
        held.forks += 1
        return held.process

    def drop(self, warm: Warm, why: str | None = None) -> None:
        """End the template of this kind, if there is one. `why`: what is wrong with it, for the log; None: it is not needed."""
        held = self._held.pop(warm, None)
        if held is None:
            return
        if held.process.refused is not None:
            self._refused[warm] = held.process.refused
            logger.warning("workers ({}) are started without a template, because {}", warm, held.process.refused)
        elif why is not None:
            logger.warning("the template for workers ({}) is dropped: {}", warm, why)
        self._selector.unregister(held.process.fileno())
        held.process.kill()
        self._ending.append(held.process)

    def drop_all(self) -> None:
        """End all templates, because they are not needed any more."""
        for warm in tuple(self._held):
            self.drop(warm)

    # -- time -----------------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Do what is due: reap those that were ended, and give up those that load for too long."""
        self._ending = [process for process in self._ending if not process.is_gone()]
        for warm, held in tuple(self._held.items()):
            if not held.ready and self._clock() >= held.by:
                self.drop(warm, "it did not load everything in time")

    def next_look(self) -> float:
        """When to call `tick` at the latest, on the clock."""
        due = [held.by for held in self._held.values() if not held.ready]
        return min([*due, self._clock() + _GONE_SECONDS if self._ending else NEVER])

    def are_gone(self) -> bool:
        """Whether no template is held or ending."""
        return not (self._held or self._ending)

    # -- inside ---------------------------------------------------------------------------------------------------------

    def _hear(self, warm: Warm, process: Template) -> None:
        held = self._held.get(warm)
        if held is None or held.process is not process:
            return  # it was dropped in the same pass of the loop
        heard = process.hear()
        if heard == "ready":
            held.ready = True
        elif heard == "gone":
            self.drop(warm, process.why())
