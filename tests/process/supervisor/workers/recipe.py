"""The real worker with a test recipe in place of the picture recipe, so that it can fail in every possible way.

Usage: recipe.py RECIPE --warm W --events-fd N [--sandbox JSON], or recipe.py RECIPE --warm W --template-fd N for a template.
"""

import argparse
import ctypes
import errno
import fcntl
import json
import os
import platform
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
import types

from daemon.contract.messages import Result
from daemon.contract.status import Output, Source
from daemon.errors import ImageUnreadable
from pipeline.worker import entry, preload, template


def result() -> Result:
    outputs = (Output(path="result/composite.png", kind="composite", bytes=5, sha256="cd"),)
    return Result(source=Source(image="photo.jpg", bytes=3), outputs=outputs, manifest="result/layer_manifest.json")


def good(command, report):
    report("decode", 0.1)
    for step in range(1000):
        report("split", 0.1 + step / 2000)
    report("export", 1.0000001)
    return result()


def mute(command, report):
    """As good, but a template that forks it does not say so."""
    return good(command, report)


def noisy(command, report):
    """Prints at every level, as libraries do, and reads from standard input."""
    import cv2

    print("cv2 threads", cv2.getNumThreads())
    print("from Python")
    os.write(1, b"from C\n")
    subprocess.run(["sh", "-c", "echo from a program; echo x >&3"], check=False)
    print("stdin:", repr(sys.stdin.read()))
    report("decode", 0.5)
    return result()


def job_error(command, report):
    raise ImageUnreadable("photo.jpg is cut off")


def array_memory(command, report):
    import numpy

    numpy.ones(1 << 50)


def bug(command, report):
    raise KeyError("layers")


def surroundings(command, report):
    """Prints what a process inherits, and the first random numbers."""
    import gc
    import locale
    import random
    import tempfile

    import numpy

    if command.job_id == "warm-up":
        return result()
    status = {}
    with open("/proc/self/status", encoding="ascii") as file:
        for line in file:
            name, _, value = line.partition(":")
            if name in ("Umask", "SigBlk", "SigIgn", "SigCgt", "NoNewPrivs", "Seccomp"):
                status[name] = value.strip()
    # Other threads open files for a moment.
    listings = []
    for _ in range(5):
        listings.append(set(os.listdir("/proc/self/fd")))
        time.sleep(0.02)
    known = {
        "environment": dict(os.environ),
        "status": status,
        "descriptors": sorted(fd for fd in map(int, set.intersection(*listings)) if is_open(fd)),
        "directory": os.getcwd(),
        "temporary": tempfile.gettempdir(),
        "locale": locale.setlocale(locale.LC_ALL),
        "limits": {name: resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name.startswith("RLIMIT_")},
        "handlers": {each.name: str(signal.getsignal(each)).partition(" at ")[0] for each in signal.Signals},
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "collector": [gc.isenabled(), gc.get_threshold()],
        "drawn": {
            "random": random.random(),
            "numpy": numpy.random.random(),
            "generator": numpy.random.default_rng().random(),
            "temporary": next(tempfile._get_candidate_names()),
            "system": os.urandom(8).hex(),
        },
    }
    print(json.dumps(known))
    return result()


def is_open(fd):
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def stubborn(command, report):
    """Catches everything that `except Exception` catches."""
    report("loop", 0.5)
    while True:
        try:
            time.sleep(0.01)
        except Exception as error:  # noqa: BLE001 - the very thing it is for
            print("swallowed", error)


def stuck(command, report):
    """Waits for itself in C code that holds the interpreter and checks no signals."""
    signal.alarm(120)
    library, mutex = ctypes.PyDLL(None), ctypes.create_string_buffer(256)
    library.pthread_mutex_init(mutex, None)
    library.pthread_mutex_lock(mutex)
    report("stuck", 0.5)
    library.pthread_mutex_lock(mutex)


def null_page(command, report):
    ctypes.string_at(0)


def stop_itself(command, report):
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(10)


def hostile(command, report, spared=()):
    """Tries everything that the sandbox should refuse; writes each outcome into its own folder."""
    with open(os.path.join(command.source, "targets.json"), encoding="utf-8") as file:
        targets = json.load(file)
    seen = {}
    for name, attempt in attacks(targets).items():
        if name in spared:
            continue
        try:
            attempt()
        except OSError as error:
            seen[name] = errno.errorcode[error.errno]
        else:
            seen[name] = "done"
    os.makedirs(os.path.join(command.attempt, "result"))
    with open(os.path.join(command.attempt, "result", "seen.json"), "w", encoding="utf-8") as file:
        json.dump(seen, file)
    report("export", 1.0)
    return result()


def hostile_without_sandbox(command, report):
    """The same where everything succeeds, without what would end the worker or prevent later attacks."""
    return hostile(command, report, ("become a program", "remove the photo", "move the photo"))


def planting(command, report):
    """Writes into its folder by the path it was given, as the pipeline does, and reports the outcome."""
    try:
        with open(os.path.join(command.attempt, "planted"), "wb"):
            report("written", 0.5)
    except OSError as error:
        report(errno.errorcode[error.errno], 0.5)
    return result()


#: Targets for whoever only wants the names of the attacks.
NOWHERE = {
    "photo": "", "secret": "", "inbox": "", "own": "", "daemon": 0, "address": 0, "segment": 0, "tcp": 0, "udp": 0,
}  # fmt: skip


def attacks(targets):
    photo, secret, inbox, daemon = targets["photo"], targets["secret"], targets["inbox"], targets["daemon"]
    tcp, udp = ("127.0.0.1", targets["tcp"]), ("127.0.0.1", targets["udp"])
    return {
        "read a key": lambda: open(secret, "rb").close(),
        "list the home": lambda: os.listdir(os.path.dirname(secret)),
        "read the password file": lambda: open("/etc/passwd", "rb").close(),
        "read the daemon's environment": lambda: open(f"/proc/{daemon}/environ", "rb").close(),
        "write into the inbox": lambda: open(os.path.join(inbox, "planted.yaml"), "wb").close(),
        "empty the photo": lambda: os.truncate(photo, 0),
        "write the photo": lambda: open(photo, "ab").close(),
        "remove the photo": lambda: os.unlink(photo),
        "move the photo": lambda: os.rename(photo, photo + ".gone"),
        "hide the photo": lambda: [os.chmod(photo, mode) for mode in (0, 0o644)],  # the attacks after it need it
        "age the photo": lambda: os.utime(photo, (0, 0)),
        "link out of its folder": lambda: os.symlink(secret, os.path.join(targets["own"], "link")),
        "connect": lambda: socket.create_connection(tcp, 1).close(),
        "send a datagram": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"photo", udp),
        "open a Unix socket": lambda: socket.socket(socket.AF_UNIX),
        "listen to the kernel": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
        **on_other_processes(daemon, targets["address"]),
        **on_shared_ground(photo, secret, targets["segment"]),
        "leave the group": leave_the_group,
        "leave the session": os.setsid,
        "fork": fork,
        "start a program": lambda: subprocess.run(["true"], check=True),
        "start the program of a video": lambda: subprocess.run([targets["program"]], stdin=subprocess.DEVNULL, check=True),
        "become a program": lambda: os.execv("/bin/true", ["true"]),
        "read its source": lambda: open(photo, "rb").close(),
        "see that a device is there": lambda: os.stat("/dev/ptmx"),
        "write in its folder": lambda: open(os.path.join(targets["own"], "note"), "wb").close(),
        "start a thread": thread,
        "limit and signal itself": on_itself,
    }


def leave_the_group():
    group = os.getpgrp()
    os.setpgid(0, 0)
    os.setpgid(0, group)  # the leader of a group could not leave the session


def fork():
    if os.fork() == 0:
        os._exit(0)
    os.wait()


def thread():
    started = threading.Thread(target=int)
    started.start()
    started.join()


def on_itself():
    own = os.getpid()
    resource.setrlimit(resource.RLIMIT_CORE, resource.getrlimit(resource.RLIMIT_CORE))
    os.nice(0)
    for named in (0, own):
        os.sched_setaffinity(named, os.sched_getaffinity(0))
    os.kill(own, signal.SIGCONT)
    signal.raise_signal(signal.SIGCONT)


#: A system call without a function in the C library, its number by machine and "one process" for it (<linux/ioprio.h>).
_IOPRIO_SET, _IOPRIO_WHO_PROCESS = {"x86_64": 251, "aarch64": 30}, 1
#: <linux/ptrace.h>: follow a process without stopping it; it is let go when the follower ends.
_PTRACE_SEIZE = 0x4206
#: <sys/ipc.h>, <sys/inotify.h>, <linux/fanotify.h>, <linux/fcntl.h>.
_IPC_PRIVATE, _IPC_CREAT, _IPC_RMID = 0, 0o1000, 0
_IN_CREATE, _FAN_REPORT_FID, _F_SETLEASE = 0x100, 0x200, 1024


def libc(name, *arguments):
    """Call a function of the C library; raises OSError like Python's own functions."""
    answer = getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments)
    if answer < 0:
        raise OSError(ctypes.get_errno(), name)
    return answer


def on_other_processes(daemon, address):
    """What a process can do to others of its user; a successful attack leaves the daemon intact."""
    byte = ctypes.create_string_buffer(1)
    here = (ctypes.c_void_p * 2)(ctypes.addressof(byte), 1)  # struct iovec
    here.target = byte  # an address keeps nothing alive: without this the byte read would go into memory that is used again
    there = (ctypes.c_void_p * 2)(address, 1)
    one = os.PRIO_PROCESS
    return {
        "signal the daemon": lambda: os.kill(daemon, signal.SIGCONT),
        "signal the daemon's thread": lambda: libc("tgkill", daemon, daemon, signal.SIGCONT),
        "queue a signal for the daemon": lambda: libc("sigqueue", daemon, signal.SIGCONT, None),
        "signal the daemon by a descriptor": lambda: signal.pidfd_send_signal(os.pidfd_open(daemon), signal.SIGCONT),
        "have the kernel signal the daemon": lambda: fcntl.fcntl(os.pipe()[0], fcntl.F_SETOWN, daemon),
        "limit the daemon": lambda: resource.prlimit(daemon, resource.RLIMIT_CPU, resource.getrlimit(resource.RLIMIT_CPU)),
        "read the daemon's limits": lambda: resource.prlimit(daemon, resource.RLIMIT_CPU),
        "slow the daemon": lambda: os.setpriority(one, daemon, os.getpriority(one, daemon)),
        "slow the daemon's group": lambda: os.setpriority(os.PRIO_PGRP, os.getpgid(daemon), os.getpriority(one, daemon)),
        "slow the daemon's disk": lambda: libc("syscall", _IOPRIO_SET[platform.machine()], _IOPRIO_WHO_PROCESS, daemon, 0),
        "bind the daemon to processors": lambda: os.sched_setaffinity(daemon, os.sched_getaffinity(daemon)),
        "schedule the daemon": lambda: os.sched_setscheduler(daemon, os.sched_getscheduler(daemon), os.sched_getparam(daemon)),
        "schedule the daemon anew": lambda: os.sched_setparam(daemon, os.sched_getparam(daemon)),
        "read the daemon's memory": lambda: libc("process_vm_readv", daemon, here, 1, there, 1, 0),
        "write the daemon's memory": lambda: libc("process_vm_writev", daemon, here, 1, there, 1, 0),
        "trace the daemon": lambda: libc("ptrace", _PTRACE_SEIZE, daemon, None, None),
    }


def on_shared_ground(photo, secret, segment):
    """What observes others, outlives the worker or blocks others without needing access to any file."""
    home = os.fsencode(os.path.dirname(secret))
    return {
        "share memory": lambda: libc("shmctl", libc("shmget", _IPC_PRIVATE, 1, _IPC_CREAT), _IPC_RMID, None),
        "remove others' shared memory": lambda: libc("shmctl", segment, _IPC_RMID, None),
        "share a queue of messages": lambda: libc("msgctl", libc("msgget", _IPC_PRIVATE, _IPC_CREAT), _IPC_RMID, None),
        "share a semaphore": lambda: libc("semctl", libc("semget", _IPC_PRIVATE, 1, _IPC_CREAT), 0, _IPC_RMID),
        "open a queue of messages": open_queue,
        "watch the home": lambda: libc("inotify_add_watch", libc("inotify_init"), home, _IN_CREATE),
        "watch file systems": lambda: libc("fanotify_init", _FAN_REPORT_FID, os.O_RDONLY),
        "hold up who writes the photo": lambda: lease(photo),
    }


def open_queue():
    name = f"/multiplane-{os.getpid()}".encode()
    libc("mq_open", name, os.O_CREAT | os.O_RDWR, 0o600, None)
    libc("mq_unlink", name)


def lease(photo):
    """Take a lease on a file: whoever opens it for writing waits up to 45 seconds, see fcntl(2)."""
    with open(photo, "rb") as file:
        fcntl.fcntl(file, _F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(file, _F_SETLEASE, fcntl.F_UNLCK)


def leaves(command, report):
    raise SystemExit(0)


#: Recipes that use what pictures need, or show that it can be loaded; the others begin without it, in half the time.
WITH_LIBRARIES = ("noisy", "surroundings", "array_memory", "hostile")


def replace(name, **members):
    module = types.ModuleType(name)
    vars(module).update(members)
    sys.modules[name] = module


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("recipe")
    parser.add_argument("--warm")
    parser.add_argument("--events-fd", type=int)
    parser.add_argument("--template-fd", type=int)
    parser.add_argument("--sandbox")
    chosen = parser.parse_args()
    replace("pipeline.run", run=globals()[chosen.recipe])
    if chosen.recipe not in WITH_LIBRARIES:
        preload.LIGHT = ("daemon.contract.messages", "daemon.errors", "pipeline.run")
        replace("cv2", setNumThreads=lambda _count: None)
    if chosen.recipe == "mute":
        answer = template._answer
        template._answer = lambda control, said: None if "pid" in said else answer(control, said)
    if chosen.template_fd is not None:
        sys.exit(template.main(chosen.template_fd, chosen.warm))
    entry.main(chosen.events_fd, chosen.warm, chosen.sandbox)


if __name__ == "__main__":
    main()
