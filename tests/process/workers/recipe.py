"""The real worker with a recipe of our own in place of the pictures', so that it can fail in every way there is.

Usage: recipe.py RECIPE --warm W --events-fd N [--fence JSON].
"""

import argparse
import ctypes
import errno
import json
import os
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
from pipeline import warming, worker


def result() -> Result:
    outputs = (Output(path="result/composite.png", kind="composite", bytes=5, sha256="cd"),)
    return Result(source=Source(image="photo.jpg", bytes=3), outputs=outputs, manifest="result/layer_manifest.json")


def good(command, report):
    report("decode", 0.1)
    for step in range(1000):
        report("split", 0.1 + step / 2000)
    report("export", 1.0000001)
    return result()


def noisy(command, report):
    """Prints as libraries do, at every level, and reads what it must not."""
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


def stubborn(command, report):
    """Catches all that `except Exception` catches."""
    report("loop", 0.5)
    while True:
        try:
            time.sleep(0.01)
        except Exception as error:  # noqa: BLE001 - the very thing it is for
            print("swallowed", error)


def stuck(command, report):
    """Hangs in C code that holds the interpreter and looks at no signals."""
    report("stuck", 0.5)
    sum(range(10**10))


def null_page(command, report):
    ctypes.string_at(0)


def stop_itself(command, report):
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(10)


def hostile(command, report, spared=()):
    """Tries everything that the fence is there to refuse; writes what came of each into its own folder."""
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


def hostile_unfenced(command, report):
    """The same, where everything succeeds: but what would end the worker or take the ground from the attacks after it."""
    return hostile(command, report, ("become a program", "remove the photo", "move the photo"))


#: Targets for whoever only wants the names of the attacks.
NOWHERE = {"photo": "", "secret": "", "inbox": "", "own": "", "daemon": 0, "tcp": 0, "udp": 0}


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
        "hide the photo": lambda: os.chmod(photo, 0),
        "age the photo": lambda: os.utime(photo, (0, 0)),
        "link out of its folder": lambda: os.symlink(secret, os.path.join(targets["own"], "link")),
        "connect": lambda: socket.create_connection(tcp, 1).close(),
        "send a datagram": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"photo", udp),
        "open a Unix socket": lambda: socket.socket(socket.AF_UNIX),
        "listen to the kernel": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
        "signal the daemon": lambda: os.kill(daemon, signal.SIGCONT),
        "fork": fork,
        "start a program": lambda: subprocess.run(["true"], check=True),
        "become a program": lambda: os.execv("/bin/true", ["true"]),
        "read its source": lambda: open(photo, "rb").close(),
        "write in its folder": lambda: open(os.path.join(targets["own"], "note"), "wb").close(),
        "start a thread": thread,
    }


def fork():
    if os.fork() == 0:
        os._exit(0)
    os.wait()


def thread():
    started = threading.Thread(target=int)
    started.start()
    started.join()


def leaves(command, report):
    raise SystemExit(0)


#: Recipes that use what pictures need, or show that it can be loaded; the others begin without it, in half the time.
WITH_LIBRARIES = ("noisy", "array_memory", "hostile")


def replace(name, **members):
    module = types.ModuleType(name)
    vars(module).update(members)
    sys.modules[name] = module


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("recipe")
    parser.add_argument("--warm")
    parser.add_argument("--events-fd", type=int)
    parser.add_argument("--fence")
    chosen = parser.parse_args()
    replace("pipeline.run", run=globals()[chosen.recipe])
    if chosen.recipe not in WITH_LIBRARIES:
        warming.LIGHT = ("daemon.contract.messages", "daemon.errors", "pipeline.run")
        replace("cv2", setNumThreads=lambda _count: None)
    worker.main(chosen.events_fd, chosen.warm, chosen.fence)


if __name__ == "__main__":
    main()
