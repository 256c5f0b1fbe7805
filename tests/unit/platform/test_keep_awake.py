"""What is started on macOS to keep the machine awake while a job runs."""

from daemon.platform.process import linux, macos


def test_caffeinate_keeps_the_machine_from_idle_sleep_as_long_as_the_worker_lives():
    assert macos.caffeinate_argv(4711) == ("/usr/bin/caffeinate", "-i", "-w", "4711")


def test_a_system_without_caffeinate_costs_the_job_nothing(monkeypatch):
    monkeypatch.setattr(macos, "caffeinate_argv", lambda pid: ("/nowhere/caffeinate", str(pid)))
    assert macos.keep_awake(4711) is None


def test_nothing_is_started_on_linux():
    assert linux.keep_awake(4711) is None
