"""`service start`, `stop`, `restart` and `status` of a cluster's programs, with a systemctl that notes what it is asked."""

import json
import os
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from daemon.cli.verbs import service
from daemon.contract.commands import unmarked
from daemon.errors import Refusal
from daemon.platform.service import manager
from daemon.platform.service.current import current_facts
from daemon.settings import load

SETTINGS = {"MULTIPLANE_CONFIG": "", "MULTIPLANE_CLUSTER__SCHEDULER": "tcp://127.0.0.1:8786"}
SYSTEMCTL = """#!/bin/sh
shift
echo "$@" >> {calls}
[ "$1" != show ] || echo ActiveState={state}
"""


@pytest.fixture
def linux(tmp_path, monkeypatch) -> Callable[[str], list[str]]:
    """A user's folder on a system with systemd. Call it with the state of all units; it returns the calls since the last time."""
    programs, calls = tmp_path / "bin", tmp_path / "calls"
    programs.mkdir()
    for name in list(os.environ):
        if name.startswith("MULTIPLANE_"):
            monkeypatch.delenv(name)
    for name, value in (SETTINGS | {"XDG_CONFIG_HOME": str(tmp_path / "config"), "PATH": f"{programs}:/usr/bin:/bin"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.platform", "linux")

    def now(state: str) -> list[str]:
        (programs / "systemctl").write_text(SYSTEMCTL.format(calls=shlex.quote(str(calls)), state=state))
        (programs / "systemctl").chmod(0o755)
        made = calls.read_text().splitlines() if calls.exists() else []
        calls.unlink(missing_ok=True)
        return made

    now("active")
    return now


def write_unit(home: Path, role: str, **settings: str) -> None:
    its = manager(role)
    its.path().parent.mkdir(parents=True, exist_ok=True)
    its.path().write_bytes(its.content(current_facts(load(home, SETTINGS | settings), role, slots=2)))


@pytest.mark.parametrize("role", ["worker", "scheduler"])
def test_the_services_of_a_cluster_are_started_stopped_and_asked_like_the_daemon_s(linux, tmp_path, capsys, role) -> None:
    home, unit = tmp_path / "home", f"multiplane-{role}.service"
    which = {role: True}
    with pytest.raises(Refusal, match="not installed") as refused:
        service.start(home=home, **which)
    assert f"service install --{role}" in refused.value.hint
    write_unit(home, role)
    service.start(home=home, **which)
    assert linux("active") == [f"reset-failed {unit}", f"start {unit}"]
    service.restart(home=home, **which)
    assert linux("active") == [f"reset-failed {unit}", f"restart {unit}"]
    service.stop(home=home, **which)
    assert linux("active") == [f"stop {unit}"]
    said = capsys.readouterr()
    assert f"service uninstall --{role}" in said.out
    assert said.err == ""

    service.status(home=home, json=True, **which)
    found = json.loads(capsys.readouterr().out)
    assert (found["role"], found["installed"], found["managed"], found["alive"]) == (role, True, True, True)
    assert (found["outdated"], found["renewal"], found["health"]) == ([], None, None)
    linux("inactive")
    with pytest.raises(typer.Exit) as ended:
        service.status(home=home, **which)
    assert ended.value.exit_code == 3
    assert capsys.readouterr().out == "  service  installed for systemd, not running\n"


def test_status_and_restart_say_that_the_file_is_out_of_date_and_what_renews_it(linux, tmp_path, capsys) -> None:
    home = tmp_path / "home"
    # As before the cluster was set.
    write_unit(home, "worker", MULTIPLANE_CLUSTER__SCHEDULER="null")
    service.restart(home=home, worker=True)
    said = capsys.readouterr().err
    assert "(RestrictAddressFamilies)" in said
    assert "service install --worker --slots 2" in said
    service.status(home=home, worker=True)
    lines = capsys.readouterr().out.splitlines()
    assert "out of date" in lines[1]
    assert "service install --worker --slots 2" in lines[2]
    service.status(home=home, worker=True, json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["outdated"] == ["RestrictAddressFamilies"]
    assert "service install --worker --slots 2" in found["renewal"]


def test_worker_and_scheduler_are_two_services(tmp_path) -> None:
    with pytest.raises(typer.BadParameter, match="two services"):
        service.stop(home=tmp_path, worker=True, scheduler=True)


def test_a_worker_s_service_keeps_the_name_that_it_is_given(linux, tmp_path, capsys) -> None:
    home = tmp_path / "home"
    home.mkdir()
    service.install(home=home, worker=True, slots=2, name="mac 2")
    its = manager("worker")
    assert '"--slots" "2" "--name" "mac 2"' in its.path().read_text()
    assert its.read(its.path().read_bytes()).name == "mac 2"
    # A file that is out of date is renewed with the same name.
    its.path().write_text(its.path().read_text().replace("Restart=", "Restarts="))
    capsys.readouterr()
    service.start(home=home, worker=True)
    assert "service install --worker --slots 2 --name 'mac 2'" in unmarked(capsys.readouterr().err)
    with pytest.raises(typer.BadParameter, match="--name needs --worker"):
        service.install(home=home, name="mac-2")
