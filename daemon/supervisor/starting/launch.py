"""The two ways to make a worker: start it as a program (cold), or have a template fork it.

Programs are started through subprocess. The worker inherits descriptors 0, 1, 2, its folder if its sandbox needs that, and the
pipe for its events. subprocess passes a descriptor on only under its own number, and running code between fork and exec is not
safe in a program with threads. So the worker gets the number of that pipe on its command line, and moves it to descriptor 3
itself. A template receives the same descriptors over its socket.
"""

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from daemon.contract.messages import Warm
from daemon.platform.files import path_of
from daemon.platform.sandbox import SandboxPolicy, command, rules
from daemon.platform.template import Template


class Child(Protocol):
    """A child process of the daemon. `returncode` is as in subprocess: None until the process is reaped."""

    pid: int
    returncode: int | None


@dataclass(slots=True)
class ForkedChild:
    """A worker that a template forked."""

    pid: int
    returncode: int | None = None


@dataclass(frozen=True, slots=True)
class Ends:
    """The worker's ends of its pipes, and the process group that it joins."""

    commands: int
    events: int
    output: int
    group: int


Launch = Callable[[Ends], Child]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where a worker works.

    Attributes:
        environment: what is the same in the environments of all workers.
        own_environment: what else is in this worker's environment.
        directory: descriptor of its working directory.
        own: descriptor of its attempt folder.
    """

    environment: Mapping[str, str]
    own_environment: Mapping[str, str]
    directory: int
    own: int


def as_program(argv: Sequence[str], policy: SandboxPolicy | None, at: Surroundings) -> Launch:
    """Start a worker with this command; `--events-fd N` is appended. Raises OSError if that fails."""

    def launch(ends: Ends) -> Child:
        return subprocess.Popen(
            [*(command(argv, policy, at.own) if policy else argv), "--events-fd", str(ends.events)],
            stdin=ends.commands,
            stdout=ends.output,
            stderr=ends.output,
            pass_fds=(ends.events, *((at.own,) if policy else ())),
            env={**at.environment, **at.own_environment},
            cwd=path_of(at.directory),
            process_group=ends.group,
        )

    return launch


def forked_by(template: Template, warm: Warm, policy: SandboxPolicy | None, at: Surroundings) -> Launch:
    """Have a template fork a worker, which loads `warm` if the template has not. Raises TemplateLost if that fails."""

    def launch(ends: Ends) -> Child:
        request = {
            "group": ends.group,
            "warm": warm,
            "environment": dict(at.own_environment),
            "sandbox": rules(policy) if policy else None,
        }
        return ForkedChild(template.fork(request, (ends.commands, ends.output, ends.events, at.directory, at.own), ends.group))

    return launch


def reap_strays(group: int) -> None:
    """Reap children of ours that were killed with this group although nobody ever learned their pids."""
    try:
        while os.waitpid(-group, 0)[0]:
            pass
    except ChildProcessError:
        return
