"""Takes away a worker's access to other people's files, the network and other processes before its job arrives (Linux).

Landlock (landlock(7)) limits which files the process, its threads and its children may open, change or create. On newer kernels
it also limits which TCP ports they may use and which processes they may signal. It does not cover UDP, Unix sockets, chmod,
fork, other processes' limits and priorities, or anything that processes share by a number. A seccomp filter refuses these
(seccomp(2), prctl(2)). Nobody can undo either, not even root. What a kernel does not support is left out;
`daemon.platform.sandbox` reports at the start which protection is missing.

A worker can *still* read names, sizes and times of any file (stat is not limited) and the list of processes in /proc (but
neither their memory nor their environment), and can use whatever a hole in the kernel allows.

This module imports no other module of this program, because it runs before anything heavy is loaded. On macOS the daemon starts
the worker under `sandbox-exec` instead, and nothing here is used.
"""

import ctypes
import errno
import os
import platform
import stat
import struct
import sys
from collections.abc import Mapping, Sequence

#: <linux/landlock.h>: access rights for files, by the interface version that introduced them.
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
REMOVE_DIR, REMOVE_FILE = 1 << 4, 1 << 5
MAKE_DIR, MAKE_REG = 1 << 7, 1 << 8
REFER, TRUNCATE, IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
#: All rights of the first version. Whatever no rule allows is refused everywhere: devices, sockets, pipes, links.
_FIRST_RIGHTS = (1 << 13) - 1
_LATER_RIGHTS = ((2, REFER), (3, TRUNCATE), (5, IOCTL_DEV))
#: Interface 4: binding and connecting TCP sockets. Interface 6: abstract Unix sockets and signals stay within the sandbox.
_NET_SINCE, _NET_TCP = 4, 0b11
_SCOPE_SINCE, _SCOPE_ABSTRACT_AND_SIGNALS = 6, 0b11
#: Rights that apply to a single file; for a file, the kernel refuses the others.
_OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV

READ = READ_FILE | READ_DIR
#: In its own folder a worker may do everything except run programs: create files and folders, but no devices, sockets, pipes,
#: or links that lead elsewhere.
OWN = READ | WRITE_FILE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG | REFER | TRUNCATE
#: Graphics cards and /dev/null: writing and control commands, but no new files.
DEVICE = READ_FILE | READ_DIR | WRITE_FILE | IOCTL_DEV

#: These numbers are the same on all machines (include/uapi/asm-generic/unistd.h).
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_RULE_PATH_BENEATH, _ASK_VERSION = 1, 1
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _PR_GET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 21, 2

#: System calls that a worker does not need, by machine: opening sockets (socketpair stays); io_uring, which bypasses these
#: filters; changing modes, owners, times and attributes, and watching folders, which Landlock does not limit; memory,
#: semaphores and messages that a user's processes share by number (System V) or name; namespaces; access to other processes;
#: and leaving the process group, which is the only place where the guardian finds a worker once the daemon is gone.
_REFUSED: Mapping[str, Mapping[str, int]] = {
    "x86_64": {
        "shmget": 29, "shmat": 30, "shmctl": 31, "socket": 41, "fork": 57, "vfork": 58, "semget": 64, "semop": 65, "semctl": 66,
        "msgget": 68, "msgsnd": 69, "msgrcv": 70, "msgctl": 71, "chmod": 90, "fchmod": 91, "chown": 92, "fchown": 93,
        "lchown": 94, "ptrace": 101, "setpgid": 109, "setsid": 112, "utime": 132,
        "setxattr": 188, "lsetxattr": 189, "fsetxattr": 190, "removexattr": 197,
        "lremovexattr": 198, "fremovexattr": 199, "semtimedop": 220, "utimes": 235, "mq_open": 240, "mq_unlink": 241,
        "add_key": 248, "request_key": 249, "keyctl": 250, "inotify_add_watch": 254, "fchownat": 260, "futimesat": 261,
        "fchmodat": 268, "unshare": 272, "utimensat": 280, "perf_event_open": 298, "fanotify_init": 300, "setns": 308,
        "process_vm_readv": 310, "process_vm_writev": 311, "bpf": 321, "userfaultfd": 323, "pidfd_send_signal": 424,
        "io_uring_setup": 425, "pidfd_getfd": 438, "fchmodat2": 452,
    },
    "aarch64": {
        "setxattr": 5, "lsetxattr": 6, "fsetxattr": 7, "removexattr": 14, "lremovexattr": 15, "fremovexattr": 16,
        "inotify_add_watch": 27, "fchmod": 52, "fchmodat": 53, "fchownat": 54, "fchown": 55, "utimensat": 88, "unshare": 97,
        "ptrace": 117, "setpgid": 154, "setsid": 157,
        "mq_open": 180, "mq_unlink": 181, "msgget": 186, "msgctl": 187, "msgrcv": 188, "msgsnd": 189,
        "semget": 190, "semctl": 191, "semtimedop": 192, "semop": 193, "shmget": 194, "shmctl": 195, "shmat": 196,
        "socket": 198, "add_key": 217, "request_key": 218, "keyctl": 219, "perf_event_open": 241, "fanotify_init": 262,
        "setns": 268, "process_vm_readv": 270, "process_vm_writev": 271, "bpf": 280, "userfaultfd": 282,
        "pidfd_send_signal": 424, "io_uring_setup": 425, "pidfd_getfd": 438, "fchmodat2": 452,
    },
}  # fmt: skip
#: Calls that name a process, by machine. A worker may only name itself in them: its limits, its scheduling and disk priority,
#: and signals, which Landlock covers only since interface 6.
_OF_A_PROCESS: Mapping[str, Mapping[str, int]] = {
    "x86_64": {
        "kill": 62, "rt_sigqueueinfo": 129, "setpriority": 141, "sched_setparam": 142, "sched_setscheduler": 144, "tkill": 200,
        "sched_setaffinity": 203, "tgkill": 234, "ioprio_set": 251, "rt_tgsigqueueinfo": 297, "prlimit64": 302,
        "sched_setattr": 314,
    },
    "aarch64": {
        "ioprio_set": 30, "sched_setparam": 118, "sched_setscheduler": 119, "sched_setaffinity": 122, "kill": 129, "tkill": 130,
        "tgkill": 131, "rt_sigqueueinfo": 138, "setpriority": 140, "rt_tgsigqueueinfo": 240, "prlimit64": 261,
        "sched_setattr": 274,
    },
}  # fmt: skip
#: In these two, the process is the second argument, and the first says what it is. It must say "one process" (PRIO_PROCESS,
#: IOPRIO_WHO_PROCESS), not a group or a user.
_ONE_PROCESS = {"setpriority": 0, "ioprio_set": 1}
#: In these, 0 does not mean the worker itself, but its whole group, or nothing.
_SIGNALS = {"kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo"}
#: fcntl and ioctl, by machine, and what they must not do: name the process that the kernel signals (F_SETOWN, F_SETOWN_EX,
#: FIOSETOWN, SIOCSPGRP), and delay others that open a file (F_SETLEASE).
_OF_A_DESCRIPTOR = {"x86_64": {"fcntl": 72, "ioctl": 16}, "aarch64": {"fcntl": 25, "ioctl": 29}}
_NOT_ASKED = {"fcntl": (8, 15, 1024), "ioctl": (0x8901, 0x8902)}
#: <linux/audit.h>: what the filter sees as its machine, and the numbers of clone and clone3 there.
_MACHINES = {"x86_64": (0xC000003E, 56, 435), "aarch64": (0xC00000B7, 220, 435)}
#: A thread shares its creator's process. Anything else that clone makes is a process, and a worker is one process.
_CLONE_THREAD = 0x00010000
_NEW_PROCESSES = ("fork", "vfork")
#: Flags of clone for new namespaces (CLONE_NEWNS and its like), and for a child of this process's parent (CLONE_PARENT).
_CLONE_ELSEWHERE = 0x7E020000 | 0x00008000
#: Numbers with this bit are the x32 calls of an x86_64 kernel, a second way to call everything above.
_X32_BIT = 0x40000000
#: Classic BPF (<linux/bpf_common.h>): load a word of seccomp_data, jumps, return.
_LOAD, _EQUAL, _ANY_BIT, _AT_LEAST, _RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
_NUMBER, _MACHINE, _FIRST_ARGUMENT = 0, 4, 16
_KILL, _ERRNO = 0x80000000, 0x00050000
_Step = tuple[int, int, int, int]
_ALLOW: _Step = (_RETURN, 0, 0, 0x7FFF0000)
_REFUSE: _Step = (_RETURN, 0, 0, _ERRNO | errno.EPERM)

#: If the daemon runs as root, its workers keep only the right to read and write files of other owners (<linux/capability.h>:
#: CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH), because people drop pictures with all kinds of modes. CAP_PERFMON, for example, would
#: give access to the memory of all processes.
_KEPT_CAPABILITIES = 1 << 1 | 1 << 2
_CAPABILITY_VERSION_3 = 0x20080522


def landlock_version() -> int:
    """The version of Landlock's interface in this kernel; 0 if it has none."""
    if sys.platform != "linux":
        return 0
    return max(0, int(_libc().syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _ASK_VERSION)))


def has_seccomp() -> bool:
    """Whether this kernel filters system calls, and this code knows the call numbers of this machine."""
    return sys.platform == "linux" and platform.machine() in _MACHINES and _libc().prctl(_PR_GET_SECCOMP, 0, 0, 0, 0) >= 0


def enter(read: Sequence[str], devices: Sequence[str], own: int, run: Sequence[str] = ()) -> None:
    """Put this process, its later threads and its children into the sandbox for good. Call this while there is only one thread.

    Args:
        read: files and folders that may be read, including everything below them; missing ones are skipped.
        devices: devices that may be used.
        own: descriptor of the only folder in which files may be created, changed and removed; closed here. It is not a path,
            because anybody who can write to the outbox can put a link in the folder's place at any moment.
        run: programs that may be started; with a loader among them, every readable program. They are in this sandbox, too.

    Raises:
        OSError: the kernel refused something that it claims to support.
    """
    _check(_libc().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl(PR_SET_NO_NEW_PRIVS)")
    _drop_capabilities()
    version = landlock_version()
    try:
        if version:
            rights = ((read, READ), (devices, DEVICE), (run, READ_FILE | EXECUTE))
            _restrict_files(version, [(path, right) for paths, right in rights for path in paths], own)
    finally:
        os.close(own)
    if has_seccomp():
        _filter_calls(processes=bool(run))


def _drop_capabilities() -> None:
    """Give up all capabilities of root except `_KEPT_CAPABILITIES`; for other users nothing changes."""
    libc = _libc()
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    held = ctypes.create_string_buffer(24)
    _check(libc.capget(header, held), "capget")
    words = struct.unpack("=6I", held.raw)  # effective, permitted and inheritable: of the lower 32, then of the upper 32
    kept = [word & _KEPT_CAPABILITIES if place < 3 else 0 for place, word in enumerate(words)]
    _check(libc.capset(header, struct.pack("=6I", *kept)), "capset")


def _restrict_files(version: int, rules: Sequence[tuple[str, int]], own: int) -> None:
    handled = _FIRST_RIGHTS
    for since, right in _LATER_RIGHTS:
        handled |= right if version >= since else 0
    net = _NET_TCP if version >= _NET_SINCE else 0
    scope = _SCOPE_ABSTRACT_AND_SIGNALS if version >= _SCOPE_SINCE else 0
    # struct landlock_ruleset_attr has grown. An older kernel accepts the longer one if the parts it does not know are 0.
    attributes = struct.pack("=QQQ", handled, net, scope)
    libc = _libc()
    size = ctypes.c_size_t(len(attributes) if version >= _SCOPE_SINCE else 16 if version >= _NET_SINCE else 8)
    ruleset = _check(libc.syscall(_CREATE_RULESET, attributes, size, 0), "landlock_create_ruleset")
    try:
        for path, rights in rules:
            _allow_path(ruleset, path, rights & handled)
        _allow(ruleset, own, OWN & handled)
        _check(libc.syscall(_RESTRICT_SELF, ruleset, 0), "landlock_restrict_self")
    finally:
        os.close(ruleset)


def _allow_path(ruleset: int, path: str, rights: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    try:
        _allow(ruleset, fd, rights)
    finally:
        os.close(fd)


def _allow(ruleset: int, fd: int, rights: int) -> None:
    """Allow these rights for an open file, or for an open folder and everything below it."""
    if not stat.S_ISDIR(os.fstat(fd).st_mode):
        rights &= _OF_FILES
    rule = struct.pack("=Qi", rights, fd)
    _check(_libc().syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, rule, 0), "landlock_add_rule")


def _filter_calls(*, processes: bool) -> None:
    steps = call_filter(platform.machine(), os.getpid(), processes=processes)
    program = b"".join(struct.pack("=HBBI", *step) for step in steps)
    held = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: the number of steps, padding, their address.
    fprog = struct.pack("@HP", len(program) // 8, ctypes.addressof(held))
    _check(_libc().prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, fprog, 0, 0), "prctl(PR_SET_SECCOMP)")


def call_filter(machine: str, own: int = 0, *, processes: bool = False) -> list[_Step]:
    """The seccomp filter for `x86_64` or `aarch64` as steps of classic BPF: (code, jump if true, jump if false, operand).

    A call that uses another kind of machine's call numbers ends the process. New processes are refused with EPERM; new threads
    are allowed. clone3 hides its flags in memory, so it returns ENOSYS, after which the C library uses clone.

    Args:
        machine: as in `platform.machine`.
        own: the id of this process, which may name itself in calls about processes.
        processes: whether new processes are allowed, but in no new namespaces, and as nobody else's children.
    """
    audit, clone, clone3 = _MACHINES[machine]
    steps: list[_Step] = [(_LOAD, 0, 0, _MACHINE), (_EQUAL, 1, 0, audit), (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, _NUMBER)]
    if machine == "x86_64":
        steps += [(_AT_LEAST, 0, 1, _X32_BIT), (_RETURN, 0, 0, _KILL)]
    steps += [(_EQUAL, 0, 1, clone3), (_RETURN, 0, 0, _ERRNO | errno.ENOSYS)]
    allowed = _NEW_PROCESSES if processes else ()
    for number in sorted(number for name, number in _REFUSED[machine].items() if name not in allowed):
        steps += [(_EQUAL, 0, 1, number), _REFUSE]
    for name, number in _OF_A_PROCESS[machine].items():
        steps += _if_called(number, _about_itself(name, own))
    for name, number in _OF_A_DESCRIPTOR[machine].items():
        steps += _if_called(number, _is_none_of(1, _NOT_ASKED[name]))
    kinds = [(_ANY_BIT, 0, 1, _CLONE_ELSEWHERE)] if processes else [(_ANY_BIT, 1, 0, _CLONE_THREAD)]
    steps += _if_called(clone, [_load(0), *kinds, _REFUSE])
    return [*steps, _ALLOW]


def _if_called(number: int, checks: Sequence[_Step]) -> list[_Step]:
    """Steps for one call: each check looks at an argument and either refuses the call or continues."""
    return [(_EQUAL, 0, len(checks) + 1, number), *checks, _ALLOW]


def _about_itself(name: str, own: int) -> list[_Step]:
    if name in _SIGNALS:
        return _is_one_of(0, (own,))
    if name in _ONE_PROCESS:
        return [*_is_one_of(0, (_ONE_PROCESS[name],)), *_is_one_of(1, (0, own))]
    return _is_one_of(0, (0, own))


def _is_one_of(argument: int, values: Sequence[int]) -> list[_Step]:
    return [_load(argument), *((_EQUAL, len(values) - place, 0, value) for place, value in enumerate(values)), _REFUSE]


def _is_none_of(argument: int, values: Sequence[int]) -> list[_Step]:
    return [_load(argument), *(step for value in values for step in ((_EQUAL, 0, 1, value), _REFUSE))]


def _load(argument: int) -> _Step:
    """Load the lower half of an argument.

    The lower half comes first on both kinds of machine, and the kernel reads no more of the arguments that are checked here.
    """
    return (_LOAD, 0, 0, _FIRST_ARGUMENT + 8 * argument)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(answer: int, what: str) -> int:
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return answer
