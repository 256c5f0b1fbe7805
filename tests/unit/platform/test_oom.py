"""What Linux says about memory that ran out is read where each version of control groups says it, and nothing else is."""

import sys
from pathlib import Path

import psutil
import pytest

if sys.platform != "linux":
    pytest.skip("the files are Linux's", allow_module_level=True)

from daemon.platform import memory, oom_linux

VMSTAT = "pgmajfault 12\noom_kill {}\nthp_fault_alloc 3\n"
EVENTS = "low 0\nhigh 0\nmax 7\noom 4\noom_kill {}\noom_group_kill 0\n"
CONTROL = "oom_kill_disable 0\nunder_oom 0\noom_kill {}\n"
V2, V1 = "0::{}\n", "9:name=systemd:/x\n4:cpu,memory:{}\n0::/y\n"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Files below /proc and /sys/fs/cgroup, by what is written."""
    monkeypatch.setattr(oom_linux, "_PROC", str(tmp_path / "proc"))
    monkeypatch.setattr(oom_linux, "_ROOT", str(tmp_path / "cgroup"))

    def write(**files: str) -> None:
        for name, text in files.items():
            path = tmp_path.joinpath(*name.split("__"))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return write


def group(tmp_path: Path, at: str, **files: str) -> None:
    folder = tmp_path / "cgroup" / at
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("_dot_", ".")).write_text(text)


@pytest.mark.parametrize(
    ("own", "events", "control", "kills"),
    [
        (V2.format("/user/multiplane"), {"user/multiplane": 2, "": 40}, {}, 7),
        (V2.format("/not/mounted/here"), {"": 3}, {}, 8),  # a container that sees its own group as the root
        (V1.format("/docker/a"), {}, {"memory/docker/a": 4, "memory": 50}, 9),
        (V1.format("/docker/elsewhere"), {}, {"memory": 5}, 10),
        (V2.format("/"), {}, {}, 5),
        ("", {"": 3}, {}, 5),
    ],
    ids=["v2", "v2 in a container", "v1", "v1 in a container", "v2 without the files of memory", "no groups"],
)
def test_kills_are_counted_for_the_machine_and_for_our_group(machine, tmp_path, own, events, control, kills):
    machine(proc__vmstat=VMSTAT.format(5), proc__self__cgroup=own)
    for at, count in events.items():
        group(tmp_path, at, memory_dot_events=EVENTS.format(count))
    for at, count in control.items():
        group(tmp_path, at, memory_dot_oom_control=CONTROL.format(count))
    assert oom_linux.oom_kills() == kills


def test_a_kernel_that_counts_nothing_is_not_taken_for_one_that_killed_nothing(machine):
    machine(proc__vmstat="pgmajfault 12\n")
    assert oom_linux.oom_kills() is None


@pytest.mark.parametrize(
    ("own", "name", "text", "limit"),
    [
        (V2.format("/a"), "memory_dot_max", "536870912\n", 536870912),
        (V2.format("/a"), "memory_dot_max", "max\n", None),
        (V1.format("/a"), "memory_dot_limit_in_bytes", "536870912\n", 536870912),
        (V1.format("/a"), "memory_dot_limit_in_bytes", "9223372036854771712\n", None),
    ],
)
def test_the_limit_of_our_group_is_its_own(machine, tmp_path, own, name, text, limit):
    machine(proc__self__cgroup=own)
    group(tmp_path, "memory/a" if "limit" in name else "a", **{name: text})
    assert oom_linux.memory_limit() == limit


STAT = "cache 7000\n{}inactive_file {}\nactive_file 900\n"


def test_what_is_left_is_the_least_of_our_group_and_those_around_it(machine, tmp_path):
    machine(proc__self__cgroup=V2.format("/slice/unit"))
    group(tmp_path, "slice/unit", memory_dot_max="9000\n", memory_dot_current="4000\n", memory_dot_stat=STAT.format("", 1000))
    assert (oom_linux.memory_limit(), oom_linux.memory_left()) == (9000, 6000)
    group(tmp_path, "slice", memory_dot_max="20000\n", memory_dot_current="19000\n", memory_dot_stat=STAT.format("", 500))
    assert (oom_linux.memory_limit(), oom_linux.memory_left()) == (9000, 1500)
    group(tmp_path, "slice", memory_dot_current="21000\n")
    assert oom_linux.memory_left() == 0


def test_what_is_left_in_a_group_of_version_1(machine, tmp_path):
    machine(proc__self__cgroup=V1.format("/docker/a"))
    stat = STAT.format("inactive_file 1\ntotal_", 3000)
    group(tmp_path, "memory", memory_dot_limit_in_bytes="8000\n", memory_dot_usage_in_bytes="5000\n", memory_dot_stat=stat)
    assert (oom_linux.memory_limit(), oom_linux.memory_left()) == (8000, 6000)


def test_the_memory_of_a_container_is_what_it_may_use_not_what_the_machine_has(machine, tmp_path):
    machine(proc__self__cgroup=V2.format("/a"))
    group(tmp_path, "a", memory_dot_max="5000\n", memory_dot_current="2000\n")
    assert (memory.total_memory(), memory.available_memory()) == (5000, 3000)
    group(tmp_path, "a", memory_dot_max="max\n")
    assert memory.total_memory() == psutil.virtual_memory().total
