"""A job goes where what it needs is installed, and nowhere else; the result never depends on which machine was free."""

import dataclasses

import pytest

from daemon.cluster.messages import About
from daemon.cluster.placement import SLOT, Fit, Machine, Needs, Seek, fit, misplaced, offered, seek

KINDS = {"small": "depth", "large": "depth", "sd": "painting", "lcm": "painting"}
NEEDS = Needs("1-abc", "")


def machine(name: str, *models: str, slots: int = 1, **more) -> Machine:
    fields = {field.name for field in dataclasses.fields(Machine)}
    mine = {key: value for key, value in more.items() if key in fields}
    said = {key: value for key, value in more.items() if key not in fields}
    about = {"name": name, "version": "1", "program": "1-abc", "slots": slots, "models": models, "devices": ("cpu",), **said}
    return Machine(f"tls://{name}", About(**about), **mine)


def names(found: Fit) -> list[str]:
    return [each.about.name for each in found.machines]


@pytest.mark.parametrize(
    ("needs", "machines", "said"),
    [
        (NEEDS, [], "none has joined"),
        (NEEDS, [machine("a", program="1-xyz"), machine("b", program="2-xyz")], "those of the cluster have 1-xyz, 2-xyz"),
        (NEEDS, [machine("a", lists="f00")], "the same lists of styles and models"),
        (dataclasses.replace(NEEDS, device="cuda"), [machine("a")], "the device cuda"),
        (
            dataclasses.replace(NEEDS, models={"depth": frozenset({"small"})}),
            [machine("a", "large@1")],
            "a model for depth: small",
        ),
    ],
)
def test_a_job_that_fits_nowhere_says_what_it_waits_for(needs, machines, said) -> None:
    found = fit(needs, machines, KINDS)
    assert found.machines == ()
    assert said in found.lacking


def test_a_job_that_may_use_a_model_goes_where_the_most_is_installed() -> None:
    auto = dataclasses.replace(NEEDS, models={"depth": frozenset()})
    without, one, other = machine("a"), machine("b", "small@1", "sd@1"), machine("c", "small@1")
    assert names(fit(auto, [without, one, other], KINDS)) == ["b", "c"], "paintings do not matter for depth"
    assert names(fit(auto, [without, one, machine("c", "small@2")], KINDS)) == ["c"], "two revisions are two models"
    assert names(fit(auto, [without], KINDS)) == ["a"], "where nobody has a model, depth is estimated"
    assert fit(auto, [without, one], KINDS).resources == {SLOT: 1.0, "program 1-abc": 1.0, "model small@1": 1.0}


def test_a_job_goes_where_its_formats_can_be_written() -> None:
    plain, usd, mac = (
        machine("a", formats=("psd", "video")),
        machine("b", formats=("usdz", "video")),
        machine("c", formats=("video", "h264")),
    )
    writing = lambda *formats: dataclasses.replace(NEEDS, formats=frozenset(formats))  # noqa: E731
    assert names(fit(writing("usdz"), [plain, usd, mac], KINDS)) == ["b"]
    assert names(fit(writing("video"), [plain, usd], KINDS)) == ["a", "b"]
    best = fit(writing("video"), [plain, usd, mac], KINDS)
    assert names(best) == ["c"], "a result must not be H.264 or VP9 by chance"
    assert best.resources == {SLOT: 1.0, "program 1-abc": 1.0, "format video": 1.0, "format h264": 1.0}
    libvpx = machine("d", formats=("video", "ffmpeg-vp9"))
    assert names(fit(writing("video"), [plain, libvpx], KINDS)) == ["d"]
    assert names(fit(writing("video"), [libvpx, mac], KINDS)) == ["c"]
    assert fit(writing("usdz", "psd"), [plain], KINDS).lacking == "a machine that can write usdz"
    assert fit(writing("usdz", "psd"), [plain, usd], KINDS).lacking == "a machine that can write psd and usdz"


def test_a_machine_offers_everything_for_each_of_its_slots() -> None:
    assert offered(machine("a", "small@1", slots=3, formats=("psd",)).about) == dict.fromkeys(
        (SLOT, "program 1-abc", "device cpu", "model small@1", "format psd"), 3
    )


def wanted(machines: list[Machine], jobs: list[str], sought: tuple[Seek, ...] = ()) -> list[tuple[str, list[str]]]:
    found = Fit(tuple(machines), {SLOT: 1.0})
    asked = seek(((job, found) for job in jobs), sought, machines)
    return [(one.job_id, [address.removeprefix("tls://") for address in one.addresses]) for one in asked]


def test_seats_are_sought_for_the_free_slots_and_a_few_beyond_them() -> None:
    machines = [
        machine("a", slots=2, taken=1),
        machine("b"),
        machine("c", problem="its disk is full"),
        machine("d", reached=False),
    ]
    assert wanted(machines, list("123456")) == [("1", ["a", "b"]), ("2", ["b"]), ("3", ["a"]), ("4", ["b"])]
    already = (Seek("0", ("tls://a", "tls://b"), {}),)
    assert wanted(machines, list("123456"), already) == [("1", ["b"]), ("2", ["a"]), ("3", ["b"])]
    large = [machine("a", slots=16, taken=16)]
    assert wanted(large, list("123456789")) == [(number, ["a"]) for number in "12345"]


def test_a_job_that_waits_for_a_taken_slot_goes_where_another_becomes_free() -> None:
    one, other, unfit = machine("a", taken=1), machine("b", taken=1), machine("c")
    fits = Fit((one, other), {SLOT: 1.0})
    waiting = [(Seek("1", ("tls://a",), {}), fits), (Seek("2", ("tls://a",), {}), fits)]
    assert list(misplaced(waiting, [one, other, unfit])) == []
    assert list(misplaced(waiting, [one, dataclasses.replace(other, taken=0), unfit])) == ["1"]
    ahead = (Seek("0", ("tls://b",), {}), fits)
    gone = (Seek("0", ("tls://gone",), {}), fits)
    assert list(misplaced([gone], [one, dataclasses.replace(other, taken=0)])) == ["0"]
    assert list(misplaced([ahead, *waiting], [one, dataclasses.replace(other, taken=0)])) == [], "that slot has its job"


def test_a_job_goes_back_to_a_machine_that_lost_it_only_if_no_other_can_take_it() -> None:
    lost = machine("a", avoided_by=frozenset({"1"}))
    assert wanted([lost, machine("b")], ["1", "2"]) == [("1", ["b"]), ("2", ["a"])]
    assert wanted([lost, machine("b", taken=1)], ["1"]) == [("1", ["b"])], "the other one will be free"
    assert wanted([lost, machine("b", problem="its disk is full")], ["1"]) == [("1", ["a"])]
    assert wanted([lost], ["1"]) == [("1", ["a"])]
    assert wanted([dataclasses.replace(lost, taken=1)], ["1", "2"]) == [("1", ["a"])], "nobody passes it"
