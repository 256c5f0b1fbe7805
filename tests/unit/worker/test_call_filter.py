"""The system call filter: what a worker may ask the kernel for, on each kind of processor."""

import pytest

from pipeline.worker.sandbox import call_filter

OWN, OTHER = 4711, 4712
X86_64, AARCH64, I386 = 0xC000003E, 0xC00000B7, 0x40000003
ALLOWED, REFUSED, UNKNOWN, ENDED = 0x7FFF0000, 0x00050001, 0x00050000 | 38, 0x80000000
THREAD, PROCESS = 0x3D0F00, 17
#: Calls that name a process in their first argument, which may be the worker itself: with 0, and not with 0.
LIMITS = {"x86_64": {142, 144, 203, 302, 314}, "aarch64": {118, 119, 122, 261, 274}}
SIGNALS = {"x86_64": {62, 129, 200, 234, 297}, "aarch64": {129, 130, 131, 138, 240}}


def answered(machine: str, number: int, *arguments: int, audit: int | None = None, processes: bool = False) -> int:
    """What the kernel would make of a call: the steps of seccomp(2)'s classic BPF over its seccomp_data."""
    data = {0: number, 4: audit or {"x86_64": X86_64, "aarch64": AARCH64}[machine]}
    for place, argument in enumerate((*arguments, 0, 0, 0)[:3]):
        data |= {16 + 8 * place: argument & 0xFFFFFFFF, 20 + 8 * place: argument >> 32}
    steps, place, held = call_filter(machine, OWN, processes=processes), 0, 0
    while True:
        code, if_true, if_false, operand = steps[place]
        place += 1
        match code:
            case 0x20:
                held = data[operand]
            case 0x06:
                return operand
            case 0x15:
                place += if_true if held == operand else if_false
            case 0x35:
                place += if_true if held >= operand else if_false
            case 0x45:
                place += if_true if held & operand else if_false
            case _:
                raise AssertionError(code)


@pytest.mark.parametrize(
    ("machine", "call", "answer"),
    [
        ("x86_64", (0, 0), ALLOWED),  # read
        ("x86_64", (41, 2), REFUSED),  # socket
        ("x86_64", (53, 1), ALLOWED),  # socketpair
        ("x86_64", (56, THREAD), ALLOWED),  # clone
        ("x86_64", (56, PROCESS), REFUSED),
        ("x86_64", (435, 0), UNKNOWN),  # clone3
        ("x86_64", (41 | 0x40000000, 2), ENDED),  # x32
        ("x86_64", (29, 0), REFUSED),  # shmget
        ("x86_64", (254, 3), REFUSED),  # inotify_add_watch
        ("x86_64", (300, 0), REFUSED),  # fanotify_init
        ("x86_64", (109, 0), REFUSED),  # setpgid
        ("x86_64", (112, 0), REFUSED),  # setsid
        ("x86_64", (111, 0), ALLOWED),  # getpgrp
        ("aarch64", (63, 0), ALLOWED),  # read
        ("aarch64", (198, 2), REFUSED),  # socket
        ("aarch64", (220, THREAD), ALLOWED),  # clone
        ("aarch64", (220, PROCESS), REFUSED),
        ("aarch64", (194, 0), REFUSED),  # shmget
        ("aarch64", (27, 3), REFUSED),  # inotify_add_watch
        ("aarch64", (262, 0), REFUSED),  # fanotify_init
        ("aarch64", (154, 0), REFUSED),  # setpgid
        ("aarch64", (157, 0), REFUSED),  # setsid
        ("aarch64", (155, 0), ALLOWED),  # getpgid
    ],
)
def test_each_call_is_answered_as_it_should(machine, call, answer):
    assert answered(machine, *call) == answer


def test_the_numbers_of_another_machine_end_the_process():
    assert answered("x86_64", 102, 1, audit=I386) == ENDED
    assert answered("aarch64", 102, 1, audit=X86_64) == ENDED


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_a_worker_limits_and_schedules_itself_alone(machine):
    for number in LIMITS[machine]:
        assert [answered(machine, number, pid) for pid in (0, OWN, OTHER, 1)] == [ALLOWED, ALLOWED, REFUSED, REFUSED], number
        # A pid_t is 32 bits: the kernel looks at no more.
        assert answered(machine, number, 1 << 32 | OTHER) == REFUSED


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_a_worker_signals_itself_alone_and_no_group(machine):
    whole_group, everybody = 0, 2**32 - 1
    for number in SIGNALS[machine]:
        assert answered(machine, number, OWN) == ALLOWED, number
        assert {answered(machine, number, pid) for pid in (OTHER, 1, whole_group, everybody)} == {REFUSED}, number
    assert answered(machine, 424, 5) == REFUSED  # pidfd_send_signal


@pytest.mark.parametrize(
    ("machine", "number", "one", "group"),
    [("x86_64", 141, 0, 1), ("x86_64", 251, 1, 2), ("aarch64", 140, 0, 1), ("aarch64", 30, 1, 2)],
    ids=["setpriority", "ioprio_set"] * 2,
)
def test_a_worker_gives_way_itself_alone(machine, number, one, group):
    assert [answered(machine, number, one, pid) for pid in (0, OWN, OTHER)] == [ALLOWED, ALLOWED, REFUSED]
    assert {answered(machine, number, group, pid) for pid in (0, OWN, OTHER)} == {REFUSED}


@pytest.mark.parametrize(("machine", "fcntl", "ioctl"), [("x86_64", 72, 16), ("aarch64", 25, 29)])
def test_a_descriptor_signals_nobody_and_holds_nobody_up(machine, fcntl, ioctl):
    duplicate, own_flags, owner, owner_of_a_kind, lease = 1030, 3, 8, 15, 1024
    assert {answered(machine, fcntl, 3, asked) for asked in (duplicate, own_flags)} == {ALLOWED}
    assert {answered(machine, fcntl, 3, asked) for asked in (owner, owner_of_a_kind, lease)} == {REFUSED}
    assert answered(machine, ioctl, 3, 0x5401) == ALLOWED  # is it a terminal
    assert {answered(machine, ioctl, 3, asked) for asked in (0x8901, 0x8902)} == {REFUSED}


@pytest.mark.parametrize(("machine", "clone", "leaving"), [("x86_64", 56, (109, 112, 272)), ("aarch64", 220, (154, 157, 97))])
def test_a_worker_that_may_start_a_program_gets_no_namespace_and_leaves_no_group(machine, clone, leaving):
    new_user, new_net, of_its_parent, of_vfork = 0x10000000, 0x40000000, 0x8000, 0x4100
    assert {answered(machine, clone, flags, processes=True) for flags in (PROCESS, THREAD, PROCESS | of_vfork)} == {ALLOWED}
    assert {answered(machine, clone, PROCESS | flag, processes=True) for flag in (new_user, new_net, of_its_parent)} == {REFUSED}
    assert {answered(machine, number, processes=True) for number in leaving} == {REFUSED}
    if machine == "x86_64":
        fork, vfork = 57, 58
        assert [answered(machine, number, processes=may) for number in (fork, vfork) for may in (True, False)] == [
            ALLOWED, REFUSED, ALLOWED, REFUSED,
        ]  # fmt: skip


@pytest.mark.parametrize("processes", [False, True])
@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_every_jump_stays_inside_and_every_way_ends(machine, processes):
    steps = call_filter(machine, OWN, processes=processes)
    for place, (code, if_true, if_false, _operand) in enumerate(steps):
        if code & 0x07 == 0x05:
            assert place + 1 + max(if_true, if_false) < len(steps)
    assert steps[-1][0] == 0x06
