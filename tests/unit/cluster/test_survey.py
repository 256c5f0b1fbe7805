"""What people are told of the machines of a cluster: above all, which of them get no jobs from here, and what to do."""

from daemon.cluster.messages import About, ClusterSurvey
from daemon.cluster.survey import compared, table


def worker(name: str, *, program: str = "p", lists: str = "") -> dict[str, object]:
    """A worker as the scheduler describes it."""
    return {"metrics": {"multiplane": About(name=name, version="1", program=program, slots=1, lists=lists).model_dump()}}


def found(*workers: dict[str, object], lists: str = "") -> ClusterSurvey:
    return compared("tcp://127.0.0.1:1", {f"tcp://127.0.0.1:{2 + n}": each for n, each in enumerate(workers)}, "p", lists)


def test_a_machine_with_other_lists_is_named_with_what_to_do() -> None:
    for own, theirs in (("", "f00"), ("f00", ""), ("f00", "ba5")):
        survey = found(worker("same", lists=own), worker("other", lists=theirs), lists=own)
        assert {machine.about.name: machine.alike for machine in survey.machines} == {"same": True, "other": False}
        lines = list(table(survey))
        (marked,) = (number for number, line in enumerate(lines) if "styles.yaml or models.yaml: not as" in line)
        assert lines[marked - 2].startswith("other ")
        assert lines[-1].startswith("Machines with another styles.yaml or models.yaml get no jobs")
        assert "beside their settings files" in lines[-1]


def test_a_machine_with_another_program_is_named_with_what_to_do() -> None:
    survey = found(worker("same"), worker("other", program="q"))
    lines = list(table(survey))
    assert [line.split()[0] for line in lines if "(another!)" in line] == ["other"]
    assert lines[-1] == "This machine has p. Machines with another program get no jobs from it: update them."


def test_machines_that_are_alike_are_listed_without_a_word() -> None:
    lines = list(table(found(worker("a"), worker("b"))))
    assert len(lines) == 5
    assert not any("no jobs" in line or "not as" in line for line in lines)
