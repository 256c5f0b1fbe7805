"""The service of a worker is another one than the daemon's, and both can reach the network that they need."""

import plistlib

from daemon.platform.service import Facts, Role
from daemon.platform.service.launchd import Launchd
from daemon.platform.service.systemd import Systemd


def facts(role: Role = "daemon", slots: int = 1, *, network: bool = True) -> Facts:
    return Facts(python="/v/bin/python", home="/h", errors="/h/err", environ={}, role=role, network=network, slots=slots)


def test_a_worker_has_a_unit_of_its_own_that_joins_the_cluster() -> None:
    worker, daemon = Systemd(role="worker"), Systemd()
    text = worker.content(facts("worker", 3)).decode()
    assert 'ExecStart="/v/bin/python" "-P" "-m" "daemon.cli" "cluster" "worker" "--slots" "3" "--home" "/h"' in text
    assert "Type=simple" in text
    assert "WatchdogSec" not in text
    assert worker.read(text.encode()).home == "/h"
    assert worker.path() != daemon.path()
    assert all("multiplane-worker.service" in step.argv for step in worker.steps("start"))


def test_only_a_daemon_of_a_cluster_may_open_connections() -> None:
    assert "RestrictAddressFamilies=AF_UNIX AF_NETLINK AF_INET AF_INET6\n" in Systemd().content(facts()).decode()
    assert "RestrictAddressFamilies=AF_UNIX AF_NETLINK\n" in Systemd().content(facts(network=False)).decode()


def test_a_worker_has_a_launch_agent_of_its_own(tmp_path) -> None:
    worker = Launchd(uid=501, user_home=tmp_path, role="worker")
    listed = plistlib.loads(worker.content(facts("worker", 2)))
    assert listed["Label"] == "io.multiplane.worker"
    assert listed["ProgramArguments"][4:] == ["cluster", "worker", "--slots", "2", "--home", "/h"]
    assert worker.path().name == "io.multiplane.worker.plist"
    assert worker.read(worker.content(facts("worker", 2))).python == "/v/bin/python"
