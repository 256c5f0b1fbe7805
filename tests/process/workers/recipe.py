"""The real worker with a recipe of our own in place of the pictures', so that it can fail in every way there is.

Usage: recipe.py RECIPE --warm W --events-fd N.
"""

import argparse
import ctypes
import os
import signal
import subprocess
import sys
import time
import types

from daemon.contract.messages import Result
from daemon.contract.status import Output, Source
from daemon.errors import ImageUnreadable
from pipeline import worker


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


def leaves(command, report):
    raise SystemExit(0)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("recipe")
    parser.add_argument("--warm")
    parser.add_argument("--events-fd", type=int)
    chosen = parser.parse_args()
    stand_in = types.ModuleType("pipeline.run")
    stand_in.run = globals()[chosen.recipe]
    sys.modules["pipeline.run"] = stand_in
    worker.main(chosen.events_fd, chosen.warm)


if __name__ == "__main__":
    main()
