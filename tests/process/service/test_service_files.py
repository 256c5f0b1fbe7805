"""The files for launchd and systemd, the commands for their tools, and the messages to systemd."""

import os
import plistlib
import shlex
import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from daemon.cli.startup_refusal import EXIT_DISK, EXIT_PERMISSION, explained
from daemon.cli.verbs.service import _check_home
from daemon.errors import Refusal
from daemon.journal import JournalError
from daemon.platform.notify.systemd import Notifier
from daemon.platform.service import Facts, Step, ask, perform
from daemon.platform.service.launchd import LABEL, Launchd, guarded
from daemon.platform.service.launchd import TEMPLATE as PLIST
from daemon.platform.service.systemd import TEMPLATE as UNIT
from daemon.platform.service.systemd import Systemd
from daemon.settings import load

AWKWARD = "/srv/a b/50% <&> \"x\" 'y' $HOME ${A} \\n é中"
FACTS = Facts(
    python=sys.executable,
    home=AWKWARD,
    errors="/tmp/err & out",
    environ={"MULTIPLANE_CONFIG": "/etc/m p.yaml", "MULTIPLANE_DEFAULTS__STYLE": 'a%b "c" $d'},
)


@pytest.fixture
def launchd(tmp_path) -> Launchd:
    return Launchd(uid=501, user_home=tmp_path)


@pytest.fixture
def systemd(tmp_path) -> Systemd:
    return Systemd(config_home=tmp_path)


def directives(unit: str) -> dict[str, str]:
    lines = [line for line in unit.splitlines() if "=" in line and not line.startswith("#")]
    return {key: value for key, _, value in (line.partition("=") for line in lines)}


# -- launchd ------------------------------------------------------------------------------------------------------------------


def test_the_agent_is_restarted_after_failures_only_and_gets_time_to_stop(launchd) -> None:
    listed = plistlib.loads(launchd.content(FACTS))
    assert listed["Label"] == LABEL == launchd.path().stem
    assert listed["KeepAlive"] == {"SuccessfulExit": False}
    assert (listed["ThrottleInterval"], listed["ExitTimeOut"]) == (30, 30)
    assert (listed["ProcessType"], listed["LimitLoadToSessionType"]) == ("Interactive", "Aqua")
    assert listed["RunAtLoad"] is True
    assert not {"WatchPaths", "QueueDirectories", "WorkingDirectory", "StartInterval"} & listed.keys()


def test_the_agent_starts_this_interpreter_for_this_home_whatever_its_name_is(launchd) -> None:
    data = launchd.content(FACTS)
    listed = plistlib.loads(data)
    assert listed["ProgramArguments"] == [sys.executable, "-P", "-m", "daemon.cli", "run", "--home", AWKWARD, "--launchd"]
    assert listed["EnvironmentVariables"] == FACTS.environ
    assert listed["StandardErrorPath"] == FACTS.errors
    found = launchd.read(data)
    assert (found.home, found.python) == (AWKWARD, sys.executable)


@pytest.mark.parametrize(
    ("role", "verb"), [("worker", ["cluster", "worker", "--slots", "3"]), ("scheduler", ["cluster", "scheduler"])]
)
def test_the_programs_of_a_cluster_are_services_of_their_own_beside_the_daemon(tmp_path, role, verb) -> None:
    facts = replace(FACTS, role=role, slots=3, network=True)
    agent, unit = Launchd(uid=501, user_home=tmp_path, role=role), Systemd(config_home=tmp_path, role=role)
    assert (agent.path().name, unit.path().name) == (f"io.multiplane.{role}.plist", f"multiplane-{role}.service")
    listed = plistlib.loads(agent.content(facts))
    assert listed["Label"] == f"io.multiplane.{role}"
    assert listed["ProgramArguments"] == [sys.executable, "-P", "-m", "daemon.cli", *verb, "--home", AWKWARD]
    found = directives(unit.content(facts).decode())
    assert (found["Type"], "WatchdogSec" in found) == ("simple", False)
    assert found["RestrictAddressFamilies"].endswith(" AF_INET AF_INET6")
    assert " ".join(f'"{word}"' for word in verb) in found["ExecStart"]
    assert agent.read(agent.content(facts)) == unit.read(unit.content(facts))
    assert {step.argv[-1] for step in unit.steps("install")} >= {f"multiplane-{role}.service"}


def test_the_template_to_be_filled_in_by_hand_says_the_same(launchd) -> None:
    by_hand = plistlib.loads(PLIST.read_bytes().replace(b"CHECKOUT", b"/opt/m"))
    facts = Facts(python="/opt/m/.venv/bin/python", home="/opt/m", errors=by_hand["StandardErrorPath"], environ={})
    assert by_hand == plistlib.loads(launchd.content(facts))


@pytest.mark.skipif(shutil.which("plistutil") is None, reason="plistutil is not installed")
@pytest.mark.parametrize("kind", ["template", "installed"])
def test_another_reader_of_property_lists_understands_it(launchd, tmp_path, kind) -> None:
    path = tmp_path / "agent.plist"
    path.write_bytes(PLIST.read_bytes() if kind == "template" else launchd.content(FACTS))
    done = subprocess.run(["plistutil", "-i", path, "-f", "bin", "-o", tmp_path / "binary"], capture_output=True, check=True)
    assert done.returncode == 0
    assert plistlib.loads((tmp_path / "binary").read_bytes()) == plistlib.loads(path.read_bytes())


@pytest.mark.parametrize("data", [b"", b"<plist>", b"\xff\xfe", plistlib.dumps({"Label": "x"}), plistlib.dumps([1])])
def test_a_file_of_somebody_else_is_told_from_ours(launchd, systemd, data) -> None:
    for manager in (launchd, systemd):
        with pytest.raises(ValueError, match="Multiplane"):
            manager.read(data)


def test_launchctl_is_called_in_the_order_that_works(launchd) -> None:
    verbs = {action: [step.argv[1] for step in launchd.steps(action)] for action in ("install", "start", "restart", "stop")}
    # A loaded label cannot be bootstrapped, nor one that is still stopping, nor a disabled one.
    assert verbs["install"] == ["bootout", "print", "enable", "bootstrap"]
    assert verbs["start"] == verbs["restart"] == ["bootout", "print", "enable", "bootstrap", "kickstart"]
    assert verbs["stop"] == ["bootout", "print"]
    assert launchd.steps("uninstall") == launchd.steps("stop")
    unload, wait, _enable, load = launchd.steps("install")
    assert {3, 36, 113} <= unload.tolerated
    assert wait.until_it_fails > plistlib.loads(launchd.content(FACTS))["ExitTimeOut"]
    assert load.argv[2:] == ("gui/501", str(launchd.path()))
    assert all(step.argv[2] == f"gui/501/{LABEL}" for step in (unload, wait, _enable))
    assert "-k" not in launchd.steps("restart")[-1].argv


def test_whether_the_agent_runs_is_read_from_launchctl_print(launchd) -> None:
    assert launchd.status_argv() == ("launchctl", "print", f"gui/501/{LABEL}")
    assert launchd.runs("gui/501/x = {\n\tactive count = 1\n\tstate = running\n\n\tpid = 7\n}")
    assert not launchd.runs("gui/501/x = {\n\tstate = not running\n\tlast exit code = 0\n}")


@pytest.mark.parametrize(
    ("inside", "name"),
    [
        ("Desktop/m", "Desktop"),
        ("Documents", "Documents"),
        ("downloads/a/b", "Downloads"),
        ("Library/Mobile Documents/com~apple~CloudDocs/m", "iCloud Drive"),
        ("Desktop2/m", None),
        ("Pictures", None),
        ("m/Desktop", None),
    ],
)
def test_folders_that_macos_guards_are_known(tmp_path, inside, name) -> None:
    assert guarded(tmp_path / inside, tmp_path) == name


def test_a_link_into_a_guarded_folder_is_seen_through(tmp_path) -> None:
    (tmp_path / "Desktop" / "m").mkdir(parents=True)
    (tmp_path / "m").symlink_to(tmp_path / "Desktop" / "m")
    assert guarded(tmp_path / "m", tmp_path) == "Desktop"


# -- systemd ------------------------------------------------------------------------------------------------------------------


def test_the_unit_says_how_it_is_watched_stopped_and_restarted(systemd) -> None:
    said = directives(systemd.content(FACTS).decode())
    assert said["Type"] == "notify"
    assert said["KillMode"] == "mixed"
    assert said["Restart"] == "on-failure"
    assert said["OOMPolicy"] == "continue"
    # The idle loop goes round every 5 s, and is to be heard twice in the time.
    assert int(said["WatchdogSec"]) / 2 >= 5
    assert set(said["RestartPreventExitStatus"].split()) == {"75", "77", "78"}
    # PyTorch compiles code, and graphics cards are devices.
    assert not {"MemoryDenyWriteExecute", "PrivateDevices"} & said.keys()


def test_the_unit_starts_this_interpreter_for_this_home_whatever_its_name_is(systemd) -> None:
    data = systemd.content(FACTS)
    found = systemd.read(data)
    assert (found.home, found.python) == (AWKWARD, sys.executable)
    start = directives(data.decode())["ExecStart"]
    assert "50%% " in start
    assert "$$HOME" in start
    assert 'Environment="MULTIPLANE_DEFAULTS__STYLE=a%%b \\"c\\" $d"' in data.decode()
    assert b"CHECKOUT" not in data


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("kind", ["template", "installed"])
def test_systemd_finds_nothing_to_say_about_the_unit(systemd, short_path, kind) -> None:
    path = short_path / "multiplane.service"
    # Written by hand into the template, as a person does it; a checkout with a space in its path has to be quoted by them.
    (short_path / "checkout").symlink_to(Path(sys.prefix).parent)
    (short_path / "venv").symlink_to(sys.prefix)
    plain = UNIT.read_bytes().replace(b"CHECKOUT/.venv", os.fsencode(short_path / "venv"))
    path.write_bytes(plain.replace(b"CHECKOUT", os.fsencode(short_path / "checkout")))
    if kind == "installed":
        path.write_bytes(systemd.content(FACTS))
    environ = {**os.environ, "XDG_RUNTIME_DIR": str(short_path), "LC_ALL": "C"}
    done = subprocess.run(["systemd-analyze", "--user", "verify", path], env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_systemctl_is_called_in_the_order_that_works(systemd) -> None:
    verbs = {
        action: [step.argv[2] for step in systemd.steps(action)]
        for action in ("install", "uninstall", "forget", "start", "stop", "restart")
    }
    assert verbs == {
        "install": ["daemon-reload", "reset-failed", "enable", "restart"],
        "uninstall": ["disable"],
        "forget": ["daemon-reload", "reset-failed"],
        "start": ["reset-failed", "start"],
        "stop": ["stop"],
        "restart": ["reset-failed", "restart"],
    }
    assert "--now" in systemd.steps("uninstall")[0].argv
    assert all(step.argv[:2] == ("systemctl", "--user") for action in verbs for step in systemd.steps(action))
    assert systemd.runs("ActiveState=active\nSubState=running")
    assert not systemd.runs("ActiveState=inactive\nSubState=dead")


def test_an_entry_for_another_home_is_respected_unless_its_interpreter_is_gone(systemd, tmp_path) -> None:
    settings = load(tmp_path / "new", {"MULTIPLANE_CONFIG": ""})
    systemd.path().parent.mkdir(parents=True)
    systemd.path().write_bytes(systemd.content(FACTS))
    with pytest.raises(Refusal, match="another home"):
        _check_home(systemd, settings)
    # As after the checkout was moved, and the home in it.
    systemd.path().write_bytes(systemd.content(replace(FACTS, python="/moved/away/python")))
    assert _check_home(systemd, settings)


# -- running the steps --------------------------------------------------------------------------------------------------------


def test_steps_run_in_order_and_the_first_failure_ends_them(tmp_path) -> None:
    log = tmp_path / "log"
    say = [
        Step(("sh", "-c", f"echo {word} >> {shlex.quote(str(log))}; exit {status}"))
        for word, status in (("a", 0), ("b", 4), ("c", 0))
    ]
    with pytest.raises(Refusal, match="exit status 4"):
        perform(say)
    assert log.read_text().split() == ["a", "b"]


def test_a_step_with_nothing_to_do_is_no_failure() -> None:
    perform([Step(("sh", "-c", "exit 113"), frozenset({113}))])
    with pytest.raises(Refusal, match="said this"):
        perform([Step(("sh", "-c", "echo said this >&2; exit 5"), frozenset({113}))])


def test_a_wait_is_over_when_the_thing_is_gone(tmp_path) -> None:
    for name in "ab":
        (tmp_path / name).touch()
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        next(tmp_path.iterdir()).unlink()

    perform([Step(("sh", "-c", f"ls {shlex.quote(str(tmp_path))} | grep -q ."), until_it_fails=60)], sleep=sleep)
    assert len(waits) == 2


def test_a_machine_without_the_service_manager_is_told_in_one_sentence() -> None:
    with pytest.raises(Refusal, match="there is no multiplane-no-such-program"):
        ask(("multiplane-no-such-program",))
    assert ask(("sh", "-c", "exit 3")) is None
    assert ask(("sh", "-c", "echo ActiveState=active")) == "ActiveState=active"


# -- permanent and passing refusals -------------------------------------------------------------------------------------------


def test_what_only_a_person_can_settle_is_told_from_what_may_pass() -> None:
    denied = explained(PermissionError(13, "Permission denied", b"/home/x/inbox"))
    assert denied.exit_status == EXIT_PERMISSION
    assert "/home/x/inbox" in denied.message
    assert explained(OSError(30, "Read-only file system", "/x")).exit_status == EXIT_PERMISSION
    assert explained(OSError(28, "No space left on device", b"/x")).exit_status == EXIT_DISK
    wrapped = JournalError("cannot read the journal")
    wrapped.__cause__ = PermissionError(1, "Operation not permitted")
    assert explained(wrapped).exit_status == EXIT_PERMISSION
    assert explained(JournalError("cannot begin the journal")).exit_status == EXIT_DISK
    prevented = directives(UNIT.read_text())["RestartPreventExitStatus"].split()
    assert str(EXIT_PERMISSION) in prevented
    assert str(EXIT_DISK) not in prevented


# -- sd_notify ----------------------------------------------------------------------------------------------------------------


def received(listener: socket.socket) -> list[str]:
    listener.setblocking(False)
    found = []
    while True:
        try:
            found.append(listener.recv(4096).decode())
        except BlockingIOError:
            return found


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_systemd_hears_ready_once_then_the_watchdog_twice_as_often_as_asked_then_stopping(short_path, kind) -> None:
    if kind == "abstract" and sys.platform == "darwin":
        pytest.skip("only Linux has abstract addresses")
    address = str(short_path / "s") if kind == "path" else f"@multiplane-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address.replace("@", "\0", 1) if kind == "abstract" else address)
        notifier = Notifier({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "20000000", "WATCHDOG_PID": str(os.getpid())})
        for now in (100.0, 101.0, 109.9, 110.0, 111.0, 120.5):
            notifier.loop_ran(now)
        notifier.stopping()
        assert received(listener) == ["READY=1", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1", "STOPPING=1"]


@pytest.mark.parametrize("environ", [{}, {"WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "nonsense"}])
def test_without_a_watchdog_for_this_process_only_ready_and_stopping_are_said(short_path, environ) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(short_path / "s"))
        notifier = Notifier({"NOTIFY_SOCKET": str(short_path / "s"), **environ})
        for now in (1.0, 1000.0):
            notifier.loop_ran(now)
        notifier.stopping()
        assert received(listener) == ["READY=1", "STOPPING=1"]


def test_what_could_not_be_sent_is_sent_in_a_later_pass(short_path) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": str(short_path / "s"), "WATCHDOG_USEC": "20000000"})
    notifier.loop_ran(100.0)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(short_path / "s"))
        for now in (101.0, 102.0):
            notifier.loop_ran(now)
        assert received(listener) == ["READY=1", "WATCHDOG=1"]


@pytest.mark.parametrize("address", [None, "", "vsock:2:1234", "gone"])
def test_without_a_socket_nothing_is_sent_and_nothing_fails(tmp_path, address) -> None:
    environ = {} if address is None else {"NOTIFY_SOCKET": str(tmp_path / "gone") if address == "gone" else address}
    notifier = Notifier(environ | {"WATCHDOG_USEC": "1000000"})
    notifier.loop_ran(1.0)
    notifier.stopping()
    assert not list(tmp_path.iterdir())
