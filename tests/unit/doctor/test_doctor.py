"""The doctor: how it judges the facts, and that it finds real faults in a home."""

import errno
import io
import os
import re
import shlex
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from job_records import accepted
from rich.console import Console

from daemon.cli.verbs.doctor import listing, verdict
from daemon.clock import local
from daemon.contract.commands import unmarked
from daemon.contract.records import Claimed
from daemon.doctor.facts import examine, hooks_that_cannot_start, journal_facts
from daemon.doctor.judging import judge
from daemon.doctor.judging_machine import after_jobs
from daemon.doctor.model import (
    Answer,
    ClockFacts,
    ClusterFacts,
    ClusterMember,
    DaemonFacts,
    Facts,
    Finding,
    Folder,
    JournalFacts,
    Report,
    Segment,
    ServiceFacts,
    Trouble,
)
from daemon.doctor.services import cluster_services, service_facts
from daemon.errors import Refusal
from daemon.fs import LocalFiles
from daemon.journal import Journal
from daemon.journal.chain import Fault
from daemon.outbox import Health, Outbox
from daemon.platform.service import manager
from daemon.platform.service.current import current_facts
from daemon.settings import load
from daemon.watch import MARKER

GB = 1 << 30
LISTED = {"name": "small", "use": "depth", "default": True, "state": "installed"}
HEALTH = Health(version="1", pid=7, state="running", alive_at="2026-01-31T12:00:00Z", started_at="2026-01-31T11:00:00Z")


def folders(**changes) -> tuple[Folder, ...]:
    made = {
        name: Folder(name=name, path=f"/h/{name.split()[0]}", there=True, marked=name != "state folder" or None, free=50 * GB)
        for name in ("inbox", "outbox", "state folder")
    }
    return tuple(replace(folder, **changes.get(name.split()[0], {})) for name, folder in made.items())


WELL = Facts(
    home="/h",
    python="3.12 on Linux",
    folders=folders(),
    moving=None,
    journal=JournalFacts(segments=(Segment(path="/h/.state/journal/00000001.jsonl", records=12),)),
    daemon=DaemonFacts(holds=True, health=HEALTH, silent_seconds=2.0),
    clock=ClockFacts(wall=2e9, stamp=2e9 + 0.01, program=1.9e9),
    service=ServiceFacts(file="/u/multiplane.service", home="/h", python="/v/python"),
    models=Answer(value=[LISTED]),
    verified=Answer(value=[{"name": "small", "ok": True, "says": "as recorded"}]),
    devices=Answer(value={"torch": "2.13", "threads": 2, "cuda": False, "mps": False}),
    settings={"device": "auto", "sandbox": "auto", "max_output_bytes": GB, "min_free_bytes": 256 << 20},
)


def found(area: str, **changes) -> list[Finding]:
    return [finding for finding in judge(replace(WELL, **changes)) if finding.area == area]


def problem(area: str, **changes) -> Finding:
    """The one problem there is; it says what to do."""
    findings = judge(replace(WELL, **changes))
    (only,) = [finding for finding in findings if finding.grade == "problem"]
    assert only.area == area
    assert only.hint
    return only


def note(area: str, **changes) -> Finding:
    findings = judge(replace(WELL, **changes))
    assert not [finding for finding in findings if finding.grade == "problem"]
    (only,) = [finding for finding in findings if finding.grade == "note"]
    assert only.area == area
    return only


def test_where_all_is_well_every_area_says_so() -> None:
    findings = judge(WELL)
    assert {finding.grade for finding in findings} == {"ok"}
    areas = "settings program folders permissions space clock journal daemon service weights device sandbox"
    assert list(dict.fromkeys(finding.area for finding in findings)) == areas.split()


def test_a_folder_without_its_marker_may_be_an_unmounted_disk() -> None:
    said = problem("folders", folders=folders(outbox={"marked": False}))
    assert "unmounted" in said.sentence
    assert "`touch /h/outbox/.multiplane`" in said.hint
    awkward = problem("folders", folders=folders(outbox={"marked": False, "path": "/Anna's fotos"}))
    assert shlex.split(awkward.hint.split("`")[1]) == ["touch", "/Anna's fotos/.multiplane"]


def test_a_missing_folder_is_a_problem_but_not_before_the_first_start() -> None:
    gone = {"there": False, "marked": False, "free": None, "trouble": Trouble(number=errno.ENOENT, text="No such file")}
    assert "/h/inbox is not there" in problem("folders", folders=folders(inbox=gone)).sentence
    assert "first start" in note("folders", folders=folders(inbox=gone), journal=JournalFacts()).sentence


def test_a_folder_nobody_may_look_into_is_a_matter_of_permission() -> None:
    denied = {"there": False, "trouble": Trouble(number=errno.EPERM, text="Operation not permitted")}
    assert "cannot be read" in problem("folders", folders=folders(inbox=denied)).sentence


def test_a_folder_nobody_may_write_in_is_a_problem_and_a_full_disk_another() -> None:
    denied = problem("permissions", folders=folders(outbox={"writing": Trouble(number=errno.EACCES, text="Permission denied")}))
    assert "No file can be created in the outbox" in denied.sentence
    no_room = {"writing": Trouble(number=errno.EDQUOT, text="Disk quota exceeded")}
    assert "share of it is used up" in problem("permissions", folders=folders(outbox=no_room)).hint


def test_what_ails_a_disk_is_said_once_for_all_folders_on_it() -> None:
    read_only = {"writing": Trouble(number=errno.EROFS, text="Read-only file system"), "disk": 1}
    said = problem("permissions", folders=folders(inbox=read_only, outbox=read_only, state=read_only))
    assert said.sentence.startswith("The disk of the inbox, the outbox and the state folder is read-only: /h/inbox ")
    assert "Mount it so that it can be written" in said.hint
    full = {"free": 0, "writing": Trouble(number=errno.ENOSPC, text="No space left on device"), "disk": 1}
    said = problem("space", folders=folders(inbox=full, outbox=full))
    assert said.sentence == "The disk of the inbox and the outbox is full: 0 bytes are free, 268 MB are needed."
    elsewhere = judge(replace(WELL, folders=folders(inbox=full, state=full | {"disk": 2})))
    assert len([each for each in elsewhere if each.grade == "problem"]) == 2


def test_who_may_not_write_what_belongs_to_another_user_learns_both_names_once() -> None:
    denied = {"writing": Trouble(number=errno.EACCES, text="Permission denied"), "owner": "user anna"}
    said = problem("permissions", folders=folders(inbox=denied, outbox=denied), user="user ben")
    assert said.sentence == "User ben may not write in the inbox and the outbox (/h/inbox). They belong to user anna."
    assert said.hint == "Run Multiplane as user anna, or give user ben the right to write there."


@pytest.mark.parametrize("health", [HEALTH, None])
@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EACCES])
def test_a_daemon_that_cannot_write_into_its_outbox_is_not_to_be_ended_for_its_silence(number, health) -> None:
    changes = {"writing": Trouble(number=number, text=os.strerror(number)), "free": 0 if number == errno.ENOSPC else 50 * GB}
    daemon = DaemonFacts(holds=True, health=health, silent_seconds=900.0)
    findings = judge(replace(WELL, folders=folders(outbox=changes), daemon=daemon))
    assert len([each for each in findings if each.grade == "problem"]) == 1
    (said,) = [each for each in findings if each.area == "daemon"]
    assert (said.grade, "cannot write into the outbox" in said.sentence) == ("note", True)
    assert "restart" not in said.hint


def test_a_home_that_cannot_be_created_is_a_problem_before_the_first_start() -> None:
    gone = {"there": False, "marked": False, "free": None, "trouble": Trouble(number=errno.ENOENT, text="No such file")}
    shut = gone | {"writing": Trouble(number=errno.EROFS, text="Read-only file system: /mnt")}
    said = problem("folders", folders=folders(inbox=shut), journal=JournalFacts())
    assert said.sentence == "The inbox /h/inbox cannot be created: Read-only file system: /mnt."


def test_different_file_systems_are_worth_knowing_and_a_refused_rename_is_a_problem() -> None:
    assert "different file systems" in note("permissions", moving=Trouble(number=errno.EXDEV, text="Cross-device")).sentence
    assert "renamed" in problem("permissions", moving=Trouble(number=errno.EACCES, text="Permission denied")).sentence
    link = Trouble(number=errno.ENOTDIR, text="a link or a file is in the place of the folder .work")
    assert problem("permissions", moving=link).hint.startswith("Remove that link or file")


def test_the_folders_that_macos_guards_are_named() -> None:
    assert "Desktop" in note("permissions", folders=folders(inbox={"guarded": "Desktop"})).sentence
    assert "deliveries lies in Documents" in note("settings", deliveries_guarded="Documents").sentence


def test_little_room_is_told_before_it_is_none() -> None:
    assert "one may take up to" in note("space", folders=folders(outbox={"free": GB // 2})).sentence
    assert "full" in problem("space", folders=folders(outbox={"free": 1000})).sentence
    assert "state folder" in problem("space", folders=folders(state={"free": 1000})).sentence


def test_state_on_a_share_is_a_problem_and_an_inbox_on_one_is_not() -> None:
    assert "locks" in problem("folders", folders=folders(state={"network": "nfs4"})).sentence
    assert "network share (smbfs)" in found("folders", folders=folders(inbox={"network": "smbfs"}))[0].sentence


@pytest.mark.parametrize(("off", "grade"), [(1.0, "ok"), (-10.0, "note"), (3600.0, "problem")])
def test_a_share_whose_clock_differs_is_told_by_how_much(off, grade) -> None:
    (said,) = found("clock", clock=ClockFacts(wall=2e9, stamp=2e9 + off, program=1.9e9))
    assert said.grade == grade
    assert grade == "ok" or f"{abs(off):.0f} s {'ahead of' if off > 0 else 'behind'}" in said.sentence


def test_a_clock_that_is_earlier_than_the_program_is_wrong() -> None:
    assert "behind" in problem("clock", clock=ClockFacts(wall=1e9, stamp=1e9, program=1.9e9)).sentence


def test_damage_to_the_journal_names_file_and_line_and_the_way_on() -> None:
    path = "/h/.state/journal/00000001.jsonl"
    damaged = Segment(path=path, damage=f"the journal is damaged: {path}, line 4 (byte 90): the record is not intact")
    said = problem("journal", journal=JournalFacts(segments=(damaged,)))
    assert "line 4" in said.sentence
    assert f"`mv {path} /h/.state/journal/damaged-00000001.jsonl`" in said.hint
    assert "stop the daemon" in said.hint
    older = problem("journal", journal=JournalFacts(segments=(damaged, Segment(path="/h/2.jsonl", records=3))))
    assert "Only the history" in older.hint


def test_a_stale_index_is_worth_a_note_and_no_problem() -> None:
    stale = Segment(path="/h/00000001.jsonl", records=3, stale_index=True)
    said = found("journal", journal=JournalFacts(segments=(stale, replace(stale, path="/h/00000002.jsonl"))))
    assert [each.grade for each in said] == ["note", "ok"]
    assert said[0].sentence == "The index of /h/00000001.jsonl and of 1 more is out of date."


def test_a_torn_tail_is_reported_unless_it_is_just_being_written() -> None:
    torn = JournalFacts(segments=(Segment(path="/h/1.jsonl", records=3, torn_line=4),))
    stopped = DaemonFacts(holds=False, health=HEALTH.model_copy(update={"state": "stopped"}))
    said = [each for each in found("journal", journal=torn, daemon=stopped) if each.grade == "note"]
    assert "line 4" in said[0].sentence
    assert [each.grade for each in found("journal", journal=torn)] == ["ok"]
    aside = note("journal", journal=replace(WELL.journal, aside=("torn-00000001-77",)))
    assert "torn-00000001-77" in aside.hint


@pytest.mark.parametrize("number", [1, 2])
def test_a_file_that_lost_records_is_not_told_to_be_cut_off_without_harm(number) -> None:
    torn = tuple(Segment(path=f"/h/0000000{each}.jsonl", records=3, torn_line=4 if each == number else None) for each in (1, 2))
    stopped = DaemonFacts(holds=False, health=HEALTH.model_copy(update={"state": "stopped"}))
    fault = Fault("gap", f"the end of 0000000{number}.jsonl is missing", (number,))
    said = found("journal", journal=JournalFacts(segments=torn, faults=(fault,)), daemon=stopped)
    assert [each.grade for each in said] == ["problem"]
    set_aside = found("journal", journal=JournalFacts(segments=torn), daemon=stopped)
    assert [each.grade for each in set_aside] == (["ok"] if number == 1 else ["note", "ok"])


def test_a_mended_fault_of_the_watch_is_noted() -> None:
    lost = HEALTH.model_copy(update={"last_fault": "the system lost events"})
    said = note("daemon", daemon=DaemonFacts(holds=True, health=lost, silent_seconds=2.0))
    assert said.sentence == "Watching the inbox failed and was repaired: the system lost events"


def test_a_daemon_that_is_not_there_hangs_or_refused_is_told_apart() -> None:
    silent = problem("daemon", daemon=DaemonFacts(holds=True, health=HEALTH, silent_seconds=90.0))
    assert "hasn't responded for 90 s" in silent.sentence
    assert "kill" not in silent.hint
    assert "`multiplane service restart`, or, if it was started by hand, Ctrl-C" in unmarked(silent.hint)
    silence, elsewhere = DaemonFacts(holds=True, health=HEALTH, silent_seconds=90.0), replace(WELL.service, home="/other")
    assert "service restart" not in problem("daemon", daemon=silence, service=elsewhere).hint
    suspended = problem("daemon", daemon=DaemonFacts(holds=True, health=HEALTH, silent_seconds=90.0, suspended=True))
    assert "suspended, as with Ctrl-Z" in suspended.sentence
    assert "`kill -CONT 7`" in unmarked(suspended.hint)
    refused = HEALTH.model_copy(update={"state": "refused", "problem": "the journal is damaged", "hint": "Restore it."})
    damaged = JournalFacts(segments=(Segment(path="/h/.state/journal/00000001.jsonl", records=12, damage="it is damaged"),))
    several = judge(replace(WELL, daemon=DaemonFacts(holds=False, health=refused), journal=damaged))
    assert [each.hint for each in several if each.area == "daemon" and each.grade == "problem"] == ["Restore it."]
    assert "ended unexpectedly" in problem("daemon", daemon=DaemonFacts(holds=False, health=HEALTH)).sentence
    offline = HEALTH.model_copy(update={"state": "offline", "problem": "the inbox is gone"})
    assert "the inbox is gone" in problem("daemon", daemon=DaemonFacts(holds=True, health=offline)).sentence
    by_hand = replace(WELL, service=ServiceFacts(file="/u"), daemon=DaemonFacts(holds=False))
    assert [each.grade for each in judge(by_hand) if each.area == "daemon"] == ["note"]
    # Another home's service cannot start this daemon.
    hints = [unmarked(each.hint) for each in judge(replace(by_hand, service=elsewhere)) if each.area == "daemon"]
    assert hints == ["Start it with: `multiplane run` (here), or `multiplane service install` (permanently)"]


def test_a_refusal_whose_cause_is_corrected_is_told_with_its_time_and_how_to_start() -> None:
    health = {
        "state": "refused",
        "problem": "cluster.scheduler is wrong",
        "hint": "Correct it and start again.",
        "settings": None,
    }
    refused = DaemonFacts(holds=False, health=HEALTH.model_copy(update=health))
    (said,) = found("daemon", daemon=refused, service=ServiceFacts(file="/u"))
    assert said.grade == "note"
    assert said.sentence == f"The daemon refused to start at {local(HEALTH.alive_at)}: cluster.scheduler is wrong."
    assert unmarked(said.hint).startswith("Nothing that prevents it is found now. Start it with: `multiplane run` (here)")
    # What prevents no start does not make the old reason a present one.
    (still,) = found("daemon", daemon=refused, service=ServiceFacts(file="/u"), hooks=("/nothing",))
    assert still == said
    # A service should run.
    assert unmarked(problem("daemon", daemon=refused).hint).endswith("Start it with: `multiplane service start`")


def test_a_service_whose_interpreter_is_gone_is_to_be_installed_anew() -> None:
    service = replace(WELL.service, python_there=False)
    assert "multiplane service install" in problem("service", service=service).hint
    assert "another home" in note("service", service=replace(WELL.service, home="/other")).sentence
    assert "cannot be used" in problem("service", service=ServiceFacts(file="/u", error="not ours")).sentence


def test_a_service_whose_file_is_out_of_date_is_to_be_renewed() -> None:
    said = note("service", service=replace(WELL.service, outdated=("RestrictAddressFamilies",)))
    assert "out of date" in said.sentence
    assert "(RestrictAddressFamilies)" in said.sentence
    assert unmarked(said.hint) == "Renew it: `multiplane service install`"
    worker = ServiceFacts(file="/u/w", role="worker", home="/h", python="/v/python", slots=2, outdated=("ExecStart",))
    said = note("service", cluster_services=(worker,))
    assert "the worker's service" in said.sentence
    assert unmarked(said.hint) == "Renew it: `multiplane service install --worker --slots 2`"
    gone = replace(worker, python_there=False)
    assert "The worker's service should start /v/python" in problem("service", cluster_services=(gone,)).sentence


def test_an_interpreter_that_this_user_cannot_reach_is_one_problem_and_not_a_lack_of_rights_on_the_folders() -> None:
    barred = "/home/anna/python3 cannot be reached by this user, who may not enter /home/anna"
    unasked = Answer(failure=barred)
    said = problem("program", barred=barred, models=unasked, verified=unasked, devices=unasked)
    assert said.sentence == f"No worker and no service can be started: {barred}."
    said = problem("service", service=replace(WELL.service, python_there=False, barred=barred))
    assert said.sentence == f"The service cannot start: {barred}."


def test_weights_that_were_changed_are_to_be_fetched_again() -> None:
    verified = Answer(value=[{"name": "small", "ok": False, "says": "model.safetensors was changed"}])
    said = [each for each in found("weights", verified=verified) if each.grade == "problem"]
    assert unmarked(said[0].hint) == "Fetch it again: `multiplane models fetch small`"
    nothing = note("weights", models=Answer(value=[{**LISTED, "state": "not installed"}]), verified=Answer(value=[]))
    assert unmarked(nothing.hint) == "Fetch one: `multiplane models fetch small`"
    assert "broken" in problem("weights", models=Answer(failure="broken")).sentence


def test_a_configured_device_that_is_not_there_is_a_problem() -> None:
    assert "cuda" in problem("device", settings={**WELL.settings, "device": "cuda"}).sentence
    mac = Answer(value={"torch": "2.13", "threads": 8, "cuda": False, "mps": True})
    assert "run on mps" in found("device", devices=mac)[0].sentence
    broken = Answer(value={"torch": "2.13", "threads": 8, "cuda": "no kernel image", "mps": False})
    assert "no kernel image" in note("device", devices=broken).sentence
    assert "libomp" in problem("device", devices=Answer(value={"torch": None, "error": "OSError: libomp"})).sentence


def test_a_daemon_that_was_started_with_other_settings_is_told_of() -> None:
    other = replace(WELL.daemon, health=HEALTH.model_copy(update={"settings": "0123"}))
    same = {**WELL.settings, "digest": "0123"}
    said = [finding for finding in found("settings", daemon=other) if finding.grade == "note"]
    assert "started with other settings" in said[0].sentence
    assert [each.grade for each in found("settings", daemon=other, settings=same)] == ["ok"]
    assert [each.grade for each in found("settings", daemon=replace(other, holds=False))] == ["ok"]


def test_a_machine_of_the_cluster_that_gets_no_jobs_from_here_is_named_with_what_to_do() -> None:
    same = ClusterMember(name="mac-1", slots=1, same_program=True, same_lists=True)
    for changes, sentence, hint in (
        ({"same_program": False}, "mac-2 has another version of the program", "Install the same version there"),
        ({"same_lists": False}, "mac-2 has another styles.yaml or models.yaml", "Let both machines have equal files"),
        ({"problem": "its disk is full"}, "mac-2 takes no jobs: its disk is full.", "Check that machine"),
    ):
        other = replace(same, name="mac-2", **changes)
        said = note("cluster", cluster=ClusterFacts(address="tls://x:1", members=(same, other)))
        assert said.sentence.startswith(sentence)
        assert said.hint.startswith(hint)
        useful = [each.sentence for each in found("cluster", cluster=ClusterFacts(address="tls://x:1", members=(same, other)))]
        assert "The cluster tls://x:1 runs 1 job at once, on mac-1." in useful
        alone = problem("cluster", cluster=ClusterFacts(address="tls://x:1", members=(other,)))
        assert alone.sentence == said.sentence


def test_what_the_sandbox_cannot_hold_is_told() -> None:
    assert "sending signals" in note("sandbox", not_prevented=("sending signals",)).sentence
    assert "off" in note("sandbox", settings={**WELL.settings, "sandbox": "off"}).sentence


@pytest.mark.parametrize("width", [80, 140])
def test_the_table_fits_its_width_and_names_are_no_markup(width) -> None:
    facts = replace(WELL, folders=folders(inbox={"path": "/h/[bold]x\x1b[2J\u202e" + "y" * 100, "marked": False}))
    report = Report(version="1", home="/h", healthy=False, findings=judge(facts))
    console = Console(width=width, record=True, file=io.StringIO(), color_system=None)
    for line in listing(report, width):
        console.print(line, soft_wrap=True)
    console.print(verdict(report))
    text = console.export_text()
    texts = [line[16:] for line in text.splitlines() if len(line) > width]
    assert all("`" in said or " " not in said for said in texts), "only names and commands are longer, to be copied whole"
    (command,) = [said for said in texts if "`" in said]
    assert re.fullmatch(r"`touch .*`", command.strip())
    assert "[bold]x·[2J·y" in text
    assert "1 problem to solve" in text
    assert "✗  folders" in text


# -- a real home ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A stopped home with a journal of two records, isolated from the service of this machine's user."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    settings = load(tmp_path / "home", {"MULTIPLANE_CONFIG": ""})
    fs, paths = LocalFiles(), settings.paths
    os.makedirs(paths.inbox)
    (paths.inbox / os.fsdecode(MARKER)).touch()
    Outbox(fs, paths.outbox_bytes).prepare()
    os.makedirs(paths.state)
    paths.lock.touch()
    journal = Journal(fs, paths.journal_bytes, clock=lambda: "2026-01-31T12:00:00Z", version="1", boot_id="b")
    journal.recover()
    journal.begin(1, 1, [])
    journal.append([accepted("a")])
    journal.append([Claimed(job="a")])
    journal.close()
    return settings


def test_a_real_home_is_found_well_and_is_left_as_it_was(home) -> None:
    before = sorted(str(path) for path in home.paths.home.rglob("*"))
    report = examine(lambda: home, LocalFiles())
    assert report.healthy, [each for each in report.findings if each.grade == "problem"]
    assert sorted(str(path) for path in home.paths.home.rglob("*")) == before
    said = {each.area: each.sentence for each in report.findings}
    assert "3 records in 1 file" in said["journal"]
    assert "renamed from the inbox into the outbox" in said["permissions"]
    assert "PyTorch" in said["device"]
    assert Report.model_validate_json(report.model_dump_json()) == report


@pytest.mark.skipif(sys.platform == "darwin", reason="launchd's files depend on less")
def test_services_installed_before_hooks_were_set_are_found_out_of_date(home) -> None:
    for role in ("daemon", "worker"):
        its = manager(role)
        its.path().parent.mkdir(parents=True, exist_ok=True)
        its.path().write_bytes(its.content(current_facts(home, role)))
    settings = load(home.paths.home, {"MULTIPLANE_CONFIG": "", "MULTIPLANE_HOOKS__ON_COMPLETED": "[curl]"})
    for loaded, expected in ((home, ()), (settings, ("RestrictAddressFamilies", "NoNewPrivileges"))):
        assert set(expected) <= set(service_facts(LocalFiles(), loaded, "daemon").outdated)
        assert bool(expected) == bool(service_facts(LocalFiles(), loaded, "daemon").outdated)
        assert [(each.role, each.outdated) for each in cluster_services(LocalFiles(), loaded)] == [("worker", ())]


@pytest.mark.parametrize(
    ("head", "sentence"),
    [
        (True, "The journal is incomplete: the end of the journal is missing: 00000001.jsonl is not there."),
        (False, "1 job folder in the outbox is unknown to the journal: a."),
    ],
)
def test_a_journal_that_was_removed_is_no_empty_one_and_no_lack_of_rights(home, head: bool, sentence: str) -> None:
    (home.paths.outbox / "a" / "source").mkdir(parents=True)
    shutil.rmtree(home.paths.journal)
    if not head:
        Path(f"{home.paths.journal}.head").unlink()
    facts = journal_facts(LocalFiles(), home.paths.journal_bytes, home.paths.outbox_bytes)
    said = found("journal", journal=facts)
    assert said[0].sentence == sentence
    assert "multiplane doctor --repair" in (said[0].hint or "")
    assert "ok" not in [each.grade for each in said]


def test_a_journal_that_was_changed_on_the_disk_is_found(home) -> None:
    path = home.paths.journal / "00000001.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"photo.jpg"', b'"photo.jpX"', 1))
    said = problem("journal", journal=journal_facts(LocalFiles(), home.paths.journal_bytes))
    assert f"{path}, line 2" in said.sentence


def test_wrong_settings_are_the_one_finding_there_can_be() -> None:
    def refuse():
        raise Refusal("queue.max_pending must be a whole number", hint="Correct it.")

    report = examine(refuse, LocalFiles())
    assert (report.healthy, report.home) == (False, None)
    assert [(each.area, each.grade, each.hint) for each in report.findings] == [("settings", "problem", "Correct it.")]


def test_a_hook_below_the_home_of_the_user_is_found_as_the_daemon_finds_it(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    program = tmp_path / "tell"
    program.touch(mode=0o755)
    hooks = {"MULTIPLANE_HOOKS__ON_COMPLETED": "[~/tell]", "MULTIPLANE_HOOKS__ON_FAILED": "[~/gone]", "MULTIPLANE_CONFIG": ""}
    assert hooks_that_cannot_start(load(tmp_path, hooks)) == ("~/gone",)


def test_a_missing_delivery_folder_and_a_hook_that_cannot_start_are_problems():
    found = list(after_jobs(replace(WELL, deliveries="/mnt/out", hooks=("/opt/tell",))))
    assert [each.grade for each in found] == ["problem", "problem"]
    assert "/mnt/out" in found[0].sentence
    assert "/opt/tell" in found[1].sentence
    assert not list(after_jobs(WELL))


@pytest.mark.parametrize(
    ("ffmpeg", "no_h264", "why", "hint"),
    [
        ("auto", "missing", "no ffmpeg was found.", "install ffmpeg with libx264, or name it"),
        (
            "auto",
            "unable",
            "the ffmpeg that was found has no encoder for H.264 (libx264).",
            "install ffmpeg with libx264, and name it",
        ),
        ("/nope", "missing", "worker.ffmpeg names /nope, which is not there or cannot be started.", "correct worker.ffmpeg"),
        ("/bin/cat", "unable", "/bin/cat has no encoder for H.264 (libx264).", "install ffmpeg with libx264, and name it"),
        ("off", "off", "worker.ffmpeg is off.", "set worker.ffmpeg to auto"),
    ],
)
def test_a_machine_that_cannot_write_h264_says_why_and_how_to_get_it(ffmpeg, no_h264, why, hint) -> None:
    said = note("program", no_h264=no_h264, settings={**WELL.settings, "ffmpeg": ffmpeg})
    assert said.sentence == f"Videos are written as VP9, which not every program plays, because {why}"
    assert said.hint.startswith(f"If you want H.264, {hint}")
    assert said.hint.endswith("Restart the daemon.")


def test_a_file_in_the_place_of_the_outbox_is_the_one_problem_and_not_the_journal_s(home) -> None:
    outbox = home.paths.outbox
    shutil.rmtree(outbox)
    outbox.write_text("a file")
    (only,) = [finding for finding in examine(lambda: home, LocalFiles()).findings if finding.grade == "problem"]
    assert only.area == "folders"
    assert only.sentence.startswith(f"The outbox {outbox} is not a folder")
    assert "folders.outbox" in only.hint
