"""`check` asks a cluster what its machines can write, because a job never runs on this one."""

from pathlib import Path

import pytest

from daemon.cli.verbs.check import _check
from daemon.cluster import survey
from daemon.cluster.messages import About, ClusterMachine, ClusterSurvey
from daemon.contract.commands import unmarked
from daemon.contract.status import ErrorInfo
from daemon.errors import Refusal
from daemon.settings import Settings, load

ADDRESS = "tcp://127.0.0.1:8786"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(tmp_path, {"MULTIPLANE_CONFIG": "", "MULTIPLANE_CLUSTER__SCHEDULER": ADDRESS})


def machine(*formats: str, same_program: bool = True, same_lists: bool = True) -> ClusterMachine:
    about = About(name="mac", version="1", program="p", slots=1, formats=("psd", "glb", *formats))
    return ClusterMachine(address="tcp://127.0.0.1:1", about=about, same_program=same_program, same_lists=same_lists)


def found(monkeypatch: pytest.MonkeyPatch, *machines: ClusterMachine) -> None:
    told = ClusterSurvey(scheduler=ADDRESS, version="1", program="p", lists="", machines=machines)
    monkeypatch.setattr(survey, "survey", lambda *_: told)


def test_a_format_is_accepted_if_one_machine_of_the_cluster_writes_it(tmp_path, settings, monkeypatch) -> None:
    sidecar = tmp_path / "a.yaml"
    sidecar.write_text("formats: [glb, usdz]\n")
    monkeypatch.setattr("daemon.cli.submitting.unwritable_formats.unwritable", lambda _: pytest.fail("jobs do not run here"))
    found(monkeypatch, machine(), machine("usdz"))
    assert isinstance(_check(sidecar, settings), str)
    for other in (machine("usdz", same_program=False), machine("usdz", same_lists=False)):
        found(monkeypatch, machine(), other)
        refused = _check(sidecar, settings)
        assert isinstance(refused, ErrorInfo)
        assert (refused.code, refused.message) == ("format_unavailable", "No machine of the cluster can write usdz.")
        assert refused.hint.startswith("Install usd-core on one of them")


def test_what_no_cluster_can_tell_is_no_fault_and_what_all_write_is_not_asked(tmp_path, settings, monkeypatch) -> None:
    def silent(*_: object) -> None:
        raise Refusal("the scheduler does not answer", hint="Start it.")

    monkeypatch.setattr(survey, "survey", silent)
    sidecar = tmp_path / "a.yaml"
    for written, known in (("[usdz]", False), ("[glb, psd]", True)):
        sidecar.write_text(f"formats: {written}\n")
        says = _check(sidecar, settings)
        assert isinstance(says, str)
        assert ("can write all formats, because the scheduler does not answer." in unmarked(says)) != known
