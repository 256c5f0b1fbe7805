"""Templates: workers that were forked are the daemon's own, and a template that fails costs nothing but time."""

import gc
import json
import os
import signal
import subprocess
import sys

import psutil
import pytest
from supervised import SupervisedWorkers, acting, wait_until
from workers import recipe

from daemon.supervisor import Completed

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there are templates only on Linux")
SURROUNDINGS = (sys.executable, "-P", recipe.__file__, "surroundings")


def forking(folder, behaviour: str = "good", **rules: object) -> SupervisedWorkers:
    return SupervisedWorkers(folder, acting(behaviour, forked=True), forked=True, **rules)


def state(pid: int) -> str:
    return psutil.Process(pid).status()


def test_a_forked_worker_is_a_child_of_the_daemon_and_outlives_its_template(tmp_path):
    supervised = forking(tmp_path, "polite_but_late")
    pid = supervised.start()
    assert psutil.Process(pid.pid).ppid() == os.getpid()
    assert os.getpgid(pid.pid) == pid.group != os.getpgrp()
    supervised.loop(lambda: supervised.progress)
    os.kill(supervised.supervisor.templates.pids()["light"], signal.SIGKILL)
    supervised.loop(lambda: not supervised.supervisor.templates.is_held("light"))
    supervised.supervisor.shutdown()
    ((_job, outcome),) = supervised.ends
    assert isinstance(outcome, Completed)


def test_a_stopped_template_costs_nothing_but_time(tmp_path):
    supervised = forking(tmp_path)
    template = supervised.supervisor.templates.pids()["light"]
    os.kill(template, signal.SIGSTOP)
    wait_until(lambda: state(template) == psutil.STATUS_STOPPED, 5)
    supervised.start()
    supervised.loop(lambda: supervised.ends)
    assert isinstance(supervised.ends[0][1], Completed)
    supervised.loop(supervised.supervisor.templates.are_gone)
    assert not psutil.pid_exists(template)


def test_a_template_that_does_not_answer_is_killed_with_the_worker_that_nobody_knows(tmp_path, monkeypatch):
    """It has forked, but its answer does not arrive in time."""
    monkeypatch.setattr("daemon.platform.template.linux._ANSWER_SECONDS", 1.0)
    before = set(psutil.Process().children())
    supervised = SupervisedWorkers(tmp_path, (sys.executable, "-P", recipe.__file__, "mute"), forked=True)
    supervised.start()
    supervised.loop(lambda: supervised.ends)
    assert isinstance(supervised.ends[0][1], Completed)
    supervised.loop(supervised.supervisor.templates.are_gone)
    assert set(psutil.Process().children()) <= before


def test_a_template_that_dies_while_it_loads_is_dropped_and_says_why(tmp_path):
    supervised = SupervisedWorkers(tmp_path, (sys.executable, "-c", "raise SystemExit('no such library')"), forked=False)
    supervised.supervisor.templates._possible = True
    assert supervised.supervisor.templates.start("light")
    supervised.loop(supervised.supervisor.templates.are_gone)
    assert not supervised.supervisor.templates.is_held("light")


@pytest.mark.parametrize("fault", ["thread", "descriptor"])
def test_a_template_with_another_thread_or_descriptor_forks_nothing_and_is_not_tried_again(tmp_path, fault):
    code = """
import sys, threading, time
from pipeline.worker import preload, template
preload.LIGHT = ()
kept = threading.Thread(target=time.sleep, args=(600,), daemon=True).start() if sys.argv[1] == "thread" else open("/dev/null")
sys.exit(template.main(int(sys.argv[-1]), "light"))
"""
    supervised = SupervisedWorkers(tmp_path, (sys.executable, "-P", "-c", code, fault))
    templates = supervised.supervisor.templates
    templates._possible = True
    assert templates.start("light")
    supervised.loop(templates.are_gone)
    assert ("threads" if fault == "thread" else "descriptors") in templates._refused["light"]
    assert not templates.start("light")


def test_a_forked_worker_knows_what_a_started_one_knows(tmp_path, monkeypatch):
    """Environment, descriptors, working directory, signals, masks, limits, language, name of temporary files, random numbers."""
    monkeypatch.setenv("LANG", "C")
    seen = {}
    for forked in (False, True):
        supervised = SupervisedWorkers(tmp_path, SURROUNDINGS, forked=forked)
        supervised.start()
        assert isinstance(supervised.end(), Completed)
        seen[forked] = json.loads(supervised.log.read_text().splitlines()[-1])
    drawn = {forked: seen[forked].pop("drawn") for forked in seen}
    for name, known in seen[False].items():
        assert seen[True][name] == known, name
    assert drawn[True] != drawn[False]


def test_two_workers_of_one_template_draw_different_random_numbers(tmp_path):
    supervised = SupervisedWorkers(tmp_path, SURROUNDINGS, forked=True)
    for _ in range(2):
        supervised.ends.clear()
        supervised.start()
        supervised.loop(lambda: supervised.ends)
    one, other = (json.loads(line)["drawn"] for line in supervised.log.read_text().splitlines() if line.startswith("{"))
    supervised.end()
    for name in one:
        assert one[name] != other[name], name


def test_a_template_dies_with_its_daemon_even_if_it_is_stopped(tmp_path):
    code = """
import os, pathlib, sys
sys.path[:0] = sys.argv[2].split(os.pathsep)
from supervised import SupervisedWorkers, acting
supervised = SupervisedWorkers(pathlib.Path(sys.argv[1]), acting("good", forked=True), forked=True)
print(supervised.supervisor.templates.pids()["light"], flush=True)
sys.stdin.read()
"""
    daemon = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path), os.pathsep.join(path for path in sys.path if path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    template = psutil.Process(int(daemon.stdout.readline()))
    template.send_signal(signal.SIGSTOP)
    daemon.kill()
    daemon.wait()
    daemon.stdout.close()
    daemon.stdin.close()
    wait_until(lambda: not template.is_running() or template.status() == psutil.STATUS_ZOMBIE, 5)


def test_many_jobs_leave_no_descriptor_no_process_and_no_memory_behind(tmp_path):
    """`python -m tests.process.supervisor.templates.many_jobs` does the same with a thousand real jobs."""
    gc.collect()  # what earlier tests left to be closed
    supervised = forking(tmp_path)
    template = psutil.Process(supervised.supervisor.templates.pids()["light"])

    def work(times: int) -> tuple[object, ...]:
        for _ in range(times):
            supervised.ends.clear()
            supervised.start()
            supervised.loop(lambda: supervised.ends)
            assert isinstance(supervised.ends[0][1], Completed)
        held = sorted(os.listdir("/proc/self/fd")), sorted(os.listdir(f"/proc/{template.pid}/fd"))
        return (*held, sorted(child.pid for child in psutil.Process().children(recursive=True)))

    before = work(5)
    size = template.memory_info().rss
    assert work(60) == before
    assert template.memory_info().rss - size < 1 << 20
    assert supervised.supervisor.templates.forks("light") == 65
    supervised.end()
