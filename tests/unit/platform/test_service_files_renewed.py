"""What the service's file says for some settings, and when an installed file is out of date."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from daemon.contract.commands import unmarked
from daemon.platform.service import Facts, Manager, Role
from daemon.platform.service.current import current_facts, out_of_date, outdated, renewal
from daemon.platform.service.launchd import Launchd
from daemon.platform.service.systemd import Systemd
from daemon.settings import Settings, load

HOOKS = {"MULTIPLANE_HOOKS__ON_FAILED": "[curl, 'https://chat.example']"}
CLUSTER = {"MULTIPLANE_CLUSTER__SCHEDULER": "tcp://127.0.0.1:8786"}
RESTRICTIONS = {"NoNewPrivileges", "LockPersonality", "RestrictRealtime", "SystemCallArchitectures", "RestrictAddressFamilies"}
ROLES: tuple[Role, ...] = ("daemon", "worker", "scheduler")


def settings(home: Path, **variables: str) -> Settings:
    return load(home, {"MULTIPLANE_CONFIG": "", **variables})


def managers(role: Role = "daemon") -> tuple[Manager, Manager]:
    return Systemd(config_home=Path("/c"), role=role), Launchd(uid=501, user_home=Path("/u"), role=role)


def unit(facts: Facts) -> dict[str, list[str]]:
    its = Systemd(role=facts.role)
    return dict(its.entries(its.content(facts)))


@pytest.mark.parametrize("variables", [HOOKS, HOOKS | CLUSTER])
def test_nothing_keeps_a_hook_of_the_daemon_from_what_its_user_may_do(tmp_path, variables) -> None:
    assert not RESTRICTIONS & unit(current_facts(settings(tmp_path, **variables))).keys()


def test_without_hooks_the_service_is_restricted_as_before(tmp_path) -> None:
    assert unit(current_facts(settings(tmp_path))).keys() >= RESTRICTIONS
    # Hooks run in the daemon, never on a machine of the cluster.
    for role in ("worker", "scheduler"):
        assert unit(current_facts(settings(tmp_path, **HOOKS, **CLUSTER), role)).keys() >= RESTRICTIONS


@pytest.mark.parametrize("role", ROLES)
def test_folders_with_the_set_group_id_bit_can_be_used(tmp_path, role) -> None:
    assert "RestrictSUIDSGID" not in unit(current_facts(settings(tmp_path), role))


def test_each_unit_says_in_its_description_which_service_it_is_and_of_which_home() -> None:
    facts = Facts(python="/p", home="/h/50% a\\", errors="/e", environ={})
    homes = (facts.home, "/other\nhome")
    said = [unit(replace(facts, home=home, role=role))["Description"] for home in homes for role in ROLES]
    assert said[0] == ["Multiplane, hot folder /h/50%% a\\ (photos to layers)"]
    assert said[4] == ["Multiplane, cluster worker of /other home (photos to layers)"]
    assert len({str(each) for each in said}) == len(said)


@pytest.mark.parametrize("number", [0, 1])
def test_a_file_is_up_to_date_until_something_in_it_would_be_written_differently(tmp_path, number) -> None:
    its, before = managers()[number], settings(tmp_path)
    data = its.content(current_facts(before))
    assert outdated(its, data, before) == ()
    # What the file does not depend on.
    assert outdated(its, data, settings(tmp_path, MULTIPLANE_QUEUE__MAX_PENDING="20")) == ()
    starts = ("ExecStart", "ProgramArguments")[number]
    assert starts in outdated(its, data, settings(tmp_path / "moved"))
    other = its.content(replace(current_facts(before), python="/moved/away/python"))
    assert outdated(its, other, before) == (starts,)


def test_a_unit_of_before_hooks_or_a_cluster_were_set_is_out_of_date(tmp_path) -> None:
    its, _ = managers()
    data = its.content(current_facts(settings(tmp_path)))
    assert set(outdated(its, data, settings(tmp_path, **HOOKS))) == RESTRICTIONS
    assert outdated(its, data, settings(tmp_path, **CLUSTER)) == ("RestrictAddressFamilies",)
    older = data.replace(b"NoNewPrivileges=yes\n", b"NoNewPrivileges=yes\nRestrictSUIDSGID=yes\n")
    assert outdated(its, older, settings(tmp_path)) == ("RestrictSUIDSGID",)


@pytest.mark.parametrize("number", [0, 1])
def test_the_environment_of_a_session_makes_no_file_out_of_date(tmp_path, number) -> None:
    its, its_settings = managers()[number], settings(tmp_path)
    data = its.content(current_facts(its_settings, environ={"XDG_DATA_HOME": "/d", "MULTIPLANE_LOG__LEVEL": "DEBUG"}))
    assert outdated(its, data, its_settings) == ()


def test_a_umask_that_a_person_added_to_the_agent_makes_it_not_out_of_date(tmp_path) -> None:
    _, its = managers()
    data = its.content(current_facts(settings(tmp_path)))
    assert (
        outdated(its, data.replace(b"<key>RunAtLoad", b"<key>Umask</key><integer>2</integer><key>RunAtLoad"), settings(tmp_path))
        == ()
    )


@pytest.mark.parametrize("number", [0, 1])
def test_the_same_folder_and_interpreter_may_be_spelt_differently(tmp_path, number) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "home")
    (tmp_path / "bin").mkdir()
    for name in ("python", "python3"):
        (tmp_path / "bin" / name).symlink_to(sys.executable)
    its = managers()[number]
    written = current_facts(settings(tmp_path / "link"))
    assert outdated(its, its.content(written), settings(tmp_path / "home")) == ()
    beside = os.path.join(os.path.dirname(sys.executable), "other-name-of-python")
    assert outdated(its, its.content(replace(written, python=beside)), settings(tmp_path / "home")) != ()


def test_a_worker_is_renewed_with_its_slots(tmp_path) -> None:
    its_settings = settings(tmp_path, **CLUSTER)
    for its in managers("worker"):
        data = its.content(current_facts(its_settings, "worker", slots=3))
        assert its.read(data).slots == 3
        assert outdated(its, data, its_settings, "worker") == ()
    assert unmarked(renewal("worker", 3)) == "`multiplane service install --worker --slots 3`"
    assert unmarked(renewal("daemon")) == "`multiplane service install`"
    assert out_of_date(["ExecStart"], "worker").startswith("The file of the worker's service is out of date: ")
