"""Forks a process whose parent is not this process but this process's own parent (Linux).

The template forks workers in this way, so that they are the daemon's own children: the daemon learns their exit status and peak
memory from the kernel, nobody else gets their pids until the daemon has reaped them, and they do not need the template any more.
`os.fork` cannot do this, so clone(2) is called with CLONE_PARENT, between the calls that Python's documentation demands around
"any similar function that clones the current process". The C library's record of the thread's id is set as its own fork does it;
prctl(2) says where that record is. What is left out are the handlers that C libraries register for a fork. They lock and unlock
what other threads may be using, and there are no other threads; the caller must have checked that.
"""

import ctypes
import os
import platform
import signal
import sys

_CLONE_PARENT, _CLONE_CHILD_CLEARTID, _CLONE_CHILD_SETTID = 0x8000, 0x200000, 0x1000000
#: The number of clone, by machine, and whether the address for the thread's id is its fourth argument or its fifth.
_CLONE = {"x86_64": (56, True), "aarch64": (220, False)}
_PR_GET_TID_ADDRESS = 40


def fork_sibling() -> int:
    """Fork. Returns 0 in the child and the child's pid in this process. Call this only while this process has one thread.

    Raises:
        OSError: this machine or this kernel cannot do it.
    """
    if sys.platform != "linux" or platform.machine() not in _CLONE:
        raise OSError(f"no way to fork a sibling is known on {sys.platform}, {platform.machine()}")
    number, is_fourth = _CLONE[platform.machine()]
    # PyDLL keeps Python's lock during the call. A function that released it would need it back in the child, too early.
    libc = ctypes.PyDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    thread_id = ctypes.c_void_p()
    _check(libc.prctl(_PR_GET_TID_ADDRESS, ctypes.byref(thread_id), 0, 0, 0), "prctl(PR_GET_TID_ADDRESS)")
    places = (thread_id, None) if is_fourth else (None, thread_id)
    flags = ctypes.c_long(_CLONE_PARENT | _CLONE_CHILD_SETTID | _CLONE_CHILD_CLEARTID | signal.SIGCHLD)
    before, in_parent, in_child = (
        getattr(ctypes.pythonapi, f"PyOS_{name}") for name in ("BeforeFork", "AfterFork_Parent", "AfterFork_Child")
    )
    before.restype = in_parent.restype = in_child.restype = None
    # No handler may run while Python is between "before" and "after".
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        before()
        pid = int(libc.syscall(ctypes.c_long(number), flags, None, None, *places))
        (in_parent if pid else in_child)()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    return _check(pid, "clone(CLONE_PARENT)")


def _check(answer: int, what: str) -> int:
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return answer
