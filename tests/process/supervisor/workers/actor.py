"""A worker program that speaks the protocol, then behaves or misbehaves as its first argument says.

With `by_picture` it does as its picture is called: `hang.png` hangs. It needs nothing but the standard library, and
of that no more than the behaviour does, so that it starts as fast as Python does.
"""

import json
import os
import signal
import sys
import time

RESULT = {
    "type": "result",
    "source": {"image": "photo.jpg", "bytes": 3, "sha256": "ab", "width": 4, "height": 2},
    "manifest": "result/layer_manifest.json",
    "warnings": ["the sky is low"],
    "timings": {"decode": 0.5},
    "peak_rss": 1000,
}
MANIFEST = {
    "width": 4,
    "height": 2,
    "layers": [],
    "split": {"method": "natural", "thresholds": [0.5]},
    "depth": {"source": "file", "polarity": "disparity"},
    "recomposition": {"max_error": 0, "raised_alpha": 0},
    "threads": 1,
    "versions": {},
}
#: Seconds for which the misbehaving last: beyond every test's limit, and yet what a failing test leaves behind ends by itself.
LONG = 120
#: A grandchild that nothing but SIGKILL ends.
DEAF_CHILD = f"import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep({LONG})"


def say(event: dict) -> None:
    os.write(FD, json.dumps(event).encode() + b"\n")


def error(code: str, message: str = "no luck") -> None:
    say({"type": "error", "error": {"code": code, "message": message, "hint": "try"}, "warnings": ["it was dark"]})


def finish(claimed: bytes = b"a picture") -> None:
    """Write a small result and report it; `claimed` reports another content of the same length."""
    import hashlib

    os.makedirs("../result", exist_ok=True)
    outputs = []
    for kind, data in (("composite", b"a picture"), ("manifest", json.dumps(MANIFEST).encode())):
        path = RESULT["manifest"] if kind == "manifest" else "result/composite.png"
        with open(f"../{path}", "wb") as file:
            file.write(data)
        told = claimed if kind == "composite" else data
        outputs.append({"path": path, "kind": kind, "bytes": len(told), "sha256": hashlib.sha256(told).hexdigest()})
    say(RESULT | {"outputs": outputs})


def children(count: int) -> None:
    for _ in range(count):
        if os.fork() == 0:
            set_sigterm_ignored()
            time.sleep(LONG)
            os._exit(0)


def set_sigterm_ignored() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def heard_late() -> None:
    finish()


def good() -> None:
    print("working", flush=True)
    say({"type": "progress", "stage": "decode", "fraction": 0.25})
    say({"type": "heartbeat", "rss": 2_000_000})
    say({"type": "progress", "stage": "export", "fraction": 1.0})
    finish()


def lie() -> None:
    finish(b"a painter")


def environment() -> None:
    fds = [fd for fd in range(64) if fd != FD and is_open(fd)]
    print(json.dumps({"env": dict(os.environ), "cwd": os.getcwd(), "fds": fds, "group": os.getpgrp(), "parent": os.getppid()}))
    sys.stdout.flush()
    finish()


def is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def begun() -> None:
    say({"type": "progress", "stage": "begun", "fraction": 0.5})


def hang() -> None:
    begun()
    time.sleep(LONG)


def polite() -> None:
    """Ends on the cancel message, as a real worker does."""
    set_sigterm_ignored()
    say({"type": "progress", "stage": "waiting", "fraction": 0.5})
    while json.loads(sys.stdin.readline())["type"] != "cancel":
        pass
    error("cancelled")
    os._exit(50)


def polite_but_late() -> None:
    """Finishes the job after it was asked to stop."""
    set_sigterm_ignored()
    say({"type": "progress", "stage": "waiting", "fraction": 0.5})
    while json.loads(sys.stdin.readline())["type"] != "cancel":
        pass
    finish()


def hang_in_c() -> None:
    """Waits for itself in C code that holds the interpreter and checks no signals, so no Python signal handler can run."""
    import ctypes

    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    signal.alarm(LONG)
    library, mutex = ctypes.PyDLL(None), ctypes.create_string_buffer(256)
    library.pthread_mutex_init(mutex, None)
    library.pthread_mutex_lock(mutex)
    begun()
    library.pthread_mutex_lock(mutex)


def hang_in_regex() -> None:
    import re

    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    re.match(r"(a+)+$", "a" * 64 + "b")


def ignore_sigterm() -> None:
    set_sigterm_ignored()
    begun()
    time.sleep(LONG)


def fork_50() -> None:
    children(50)
    finish()


def fork_50_and_hang() -> None:
    children(50)
    print("forked", flush=True)
    # Its last word: whoever has read it may end the daemon, and with a broken pipe the worker would end as well.
    say({"type": "progress", "stage": "forked", "fraction": 0.5})
    time.sleep(LONG)


def daemonize() -> None:
    """A grandchild that leaves the group, then a long job."""
    import subprocess

    argv = [sys.executable, "-I", "-S", "-c", DEAF_CHILD]
    child = subprocess.Popen(argv, start_new_session=True)
    print(f"outsider {child.pid}", flush=True)
    say({"type": "progress", "stage": "forked", "fraction": 0.5})
    hang()


def eat_memory() -> None:
    """Four gigabytes, a hundred megabytes at a time."""
    held = []
    for _ in range(40):
        held.append(b"x" * 100_000_000)
        time.sleep(0.02)
    hang()


def child_eats_memory() -> None:
    import subprocess

    code = f"import time; held = b'x' * 300_000_000; time.sleep({LONG})"
    subprocess.Popen([sys.executable, "-I", "-S", "-c", code])
    held = b"y" * 300_000_000
    time.sleep(LONG)
    print(len(held))


def shared_memory_is_counted_once() -> None:
    held = b"z" * 200_000_000
    for _ in range(4):
        if os.fork() == 0:
            time.sleep(LONG)
            os._exit(0)
    time.sleep(0.8)
    print(len(held))
    finish()


def write_without_end() -> None:
    """Write two megabytes every tenth of a second into a subfolder."""
    os.makedirs("../result/preview", exist_ok=True)
    for number in range(LONG * 10):
        with open(f"../result/preview/{number}", "wb") as file:
            file.write(bytes(2_000_000))
        time.sleep(0.1)


def flood_of_names() -> None:
    for number in range(4_000):
        open(f"{number}", "wb").close()
    time.sleep(LONG)


def own_report_of_memory() -> None:
    say({"type": "heartbeat", "rss": 10_000_000_000})
    time.sleep(LONG)


def segfault() -> None:
    import ctypes

    print("about to read the null page", flush=True)
    ctypes.string_at(0)


def abort() -> None:
    os.abort()


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def terminated() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def kill_the_group() -> None:
    """A library that cleans up: sends SIGTERM to the whole group, which must not end the guardian."""
    set_sigterm_ignored()
    os.killpg(0, signal.SIGTERM)
    time.sleep(0.1)
    finish()


def vanish() -> None:
    os._exit(0)


def vanish_with_3() -> None:
    print("\x1b[31mred\x1b[0m \x07bell \u202eright to left", flush=True)
    os._exit(3)


def print_100_mb() -> None:
    line = b"x" * 99 + b"\n"
    for _ in range(100):
        os.write(1, b"")
        data = memoryview(line * 10_000)
        while data:
            data = data[os.write(1, data) :]
    os.write(2, b"the very last line\n")
    finish()


def close_stdin() -> None:
    os.close(0)
    time.sleep(0.1)
    finish()


def close_stdin_and_hang() -> None:
    os.close(0)
    hang()


def close_events() -> None:
    os.close(FD)
    time.sleep(LONG)


def garbage() -> None:
    os.write(FD, b'\xff\x00 not json {"type": "result"}\n')
    time.sleep(LONG)


def huge_line() -> None:
    data = memoryview(b'{"type": "progress", "stage": "' + b"s" * 3_000_000)
    while data:
        data = data[os.write(FD, data) :]
    time.sleep(LONG)


def unknown_event() -> None:
    say({"type": "applause"})
    time.sleep(LONG)


def wrong_job() -> None:
    say({"type": "started", "job_id": "another"})
    time.sleep(LONG)


def start_again_and_again() -> None:
    """Sends `started` repeatedly, which must not extend the time limit."""
    while True:
        say({"type": "started", "job_id": "job"})
        time.sleep(0.05)


def two_results() -> None:
    finish()
    finish()


def result_then_7() -> None:
    finish()
    os._exit(7)


def result_then_hang() -> None:
    set_sigterm_ignored()
    finish()
    print("reported", flush=True)
    time.sleep(LONG)


def error_image_unreadable() -> None:
    error("image_unreadable", "photo.jpg is cut off")
    os._exit(24)


def error_disk_full() -> None:
    error("disk_full")
    os._exit(44)


def error_with_the_wrong_status() -> None:
    error("image_unreadable", "photo.jpg is cut off")
    os._exit(1)


def error_of_no_known_code() -> None:
    error("mood")
    os._exit(1)


def main() -> None:
    _program, chosen, _, warm, option, fd = sys.argv  # BEHAVIOUR --warm W --events-fd N, or --template-fd N for a template
    if option == "--events-fd":
        act(chosen, int(fd), warm)
        return
    from pipeline.worker import preload, template

    preload.LIGHT = ()
    sys.exit(template.main(int(fd), warm, lambda events_fd, warm, _sandbox: act(chosen, events_fd, warm)))


def act(chosen: str, events_fd: int, warm: str) -> None:
    """Do one job. A worker that was forked ends here as well."""
    global FD
    FD = events_fd
    os.set_inheritable(FD, True)  # grandchildren keep it open, as a fork of a careless library does
    say({"type": "hello", "protocol": 1, "pid": os.getpid()})
    if chosen == "never_ready":
        time.sleep(LONG)
    say({"type": "ready", "warm": warm})
    if chosen == "die_as_spare":
        sys.exit("the spare has had enough")
    line = sys.stdin.readline()
    if not line:
        os._exit(0)
    command = json.loads(line)
    if chosen == "never_started":
        time.sleep(LONG)
    # As if the daemon heard it late: said before the pause, heard after it.
    at = {"at": time.monotonic() - 5.0} if chosen == "heard_late" else {}
    if at:
        time.sleep(0.3)
    say({"type": "started", "job_id": command["job_id"]} | at)
    behaviour = chosen if chosen != "by_picture" else command["image"].partition(".")[0]
    globals()[behaviour]()
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
