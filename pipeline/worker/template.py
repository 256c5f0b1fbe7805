"""The template: imports what workers of one kind need, computes nothing, and forks a worker for each request (Linux).

The imports take half a second for a light worker and several seconds for one with a model; a fork takes milliseconds, and the
imported pages are shared. A worker that was forked is the same as one that was started as a program: the request brings its
environment, its descriptors and its sandbox, and from then on it runs the same code.

No job leaves anything behind here, because the template never sees one: the job is sent to the worker, over the worker's own
pipe, after the fork. Before each fork the template checks that it has exactly one thread (/proc/self/task), since a fork copies
no other, and locks that other threads held would stay locked for ever. It also checks that it holds no descriptor of unknown
origin, because all workers would share it. If either is not so, it refuses, and the daemon starts its workers as programs.

The template dies with the daemon: the kernel kills it (PR_SET_PDEATHSIG), even while it is stopped.

Python's `multiprocessing.forkserver` (with `set_forkserver_preload`) does not fit. Its children are its own: if it is killed or
stopped, nobody learns how a running job ended, and their pids may be reused before the daemon has noticed. It waits without a
time limit for a server that does not answer, but the daemon has only one thread. There is one server for each program, but there
are three kinds of workers. It passes on its own environment, group and descriptors, and looks at no threads.
"""

import ctypes
import json
import os
import signal
import socket
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NoReturn

from pipeline.worker import entry, preload
from pipeline.worker.sibling import fork_sibling

if TYPE_CHECKING:
    from daemon.contract.messages import Warm

_PR_SET_PDEATHSIG = 1
#: The largest request in bytes. Its environment is small; the sandbox names a few hundred paths at most.
_LARGEST_REQUEST = 1 << 18
#: The descriptors of a request, in this order: the worker's commands, output and events, its working directory, its own folder.
_DESCRIPTORS = 5

Run = Callable[[int, "Warm", str | None], NoReturn]


def main(control_fd: int, warm: "Warm", run: Run = entry.main) -> int:
    """Import what workers of this kind need, then fork workers until the daemon closes the socket. Returns the exit status.

    Args:
        control_fd: one end of a SOCK_SEQPACKET socket. It sends one JSON object when everything is loaded, and one in answer to
            each request: `{"pid": N}`, or `{"refused": "why"}`. A request is described in `daemon.platform.template.linux`.
        warm: what to import.
        run: what a worker does, given the descriptor of its events, what it is to load, and its sandbox. It never returns.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    control = socket.socket(fileno=control_fd)
    control.set_inheritable(False)
    preload.load(warm)
    known = {0, 1, 2, control_fd}
    why = _why_not(known)
    _answer(control, {"refused": why} if why else {"ready": True})
    while True:
        data, descriptors, _flags, _from = socket.recv_fds(control, _LARGEST_REQUEST, _DESCRIPTORS, socket.MSG_CMSG_CLOEXEC)
        if not data:
            return 0
        try:
            why = _why_not(known | set(descriptors))
            _answer(control, {"refused": why} if why else _fork(control, json.loads(data), descriptors, run))
        finally:
            for fd in descriptors:
                os.close(fd)


def _answer(control: socket.socket, answer: Mapping[str, object]) -> None:
    try:
        control.send(json.dumps(answer).encode())
    except BrokenPipeError:
        sys.exit(0)  # the daemon has no use for this template any more


def _fork(control: socket.socket, request: Mapping[str, object], descriptors: Sequence[int], run: Run) -> dict[str, object]:
    """Fork a worker; returns the answer to the request. Never returns in the worker."""
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        pid = fork_sibling()
    except OSError as error:
        return {"refused": f"it cannot fork ({error})"}
    if pid == 0:
        try:
            control.close()
            _work(request, descriptors, run)
        except BaseException:  # noqa: BLE001 - it must be in job.log, and this process must not go on as a second template
            traceback.print_exc()
        finally:
            os._exit(1)
    return {"pid": pid}


def _why_not(known: set[int]) -> str | None:
    """Why this process must not fork now, a clause; None if it may. `known`: the descriptors that it should have."""
    threads = len(os.listdir("/proc/self/task"))
    if threads != 1:
        return f"it has {threads} threads after its imports"
    listed = os.open("/proc/self/fd", os.O_RDONLY | os.O_DIRECTORY)
    try:
        unknown = sorted(int(name) for name in os.listdir(listed) if int(name) not in known | {listed} and _is_open(int(name)))
    finally:
        os.close(listed)
    return f"its imports left descriptors open: {unknown}" if unknown else None


def _is_open(fd: int) -> bool:
    """Whether the descriptor is still open: listing a folder opens one for a moment."""
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def _work(request: Mapping[str, object], descriptors: Sequence[int], run: Run) -> NoReturn:
    """Become the worker that the request describes.

    Raises:
        OSError: the worker's group is gone, and the daemon with it.
    """
    commands, output, events, directory, own = descriptors
    # First of all, so that whoever kills the group finds this process in it.
    os.setpgid(0, int(str(request["group"])))
    os.fchdir(directory)
    for target, fd in enumerate((commands, output, output)):
        os.dup2(fd, target)
    for fd in (commands, output, directory):
        os.close(fd)
    environment = request["environment"]
    if not isinstance(environment, dict):
        raise TypeError("a request without an environment")
    os.environ.update(environment)
    _forget()
    warm, sandbox = request["warm"], request["sandbox"]
    if isinstance(sandbox, dict):
        sandbox = json.dumps(sandbox | {"own": own})
    else:
        os.close(own)
    run(events, warm, sandbox)  # type: ignore[arg-type]


def _forget() -> None:
    """Undo what libraries noted at their import and what differs for each worker.

    Python's own `random`, `threading` and `uuid` do this by themselves after a fork. Torch's random numbers start from the same
    seed in every process.
    """
    tempfile.tempdir = None
    if numpy_random := sys.modules.get("numpy.random"):
        numpy_random.seed()
