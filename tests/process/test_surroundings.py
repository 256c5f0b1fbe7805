"""Runs a few jobs in two unusual environments that combine many differences; `make soak` runs the whole suite in each."""

import json
import os
import subprocess

import pytest

from tests.surroundings import CASES, NO_HOME, PYTEST, ROOT, NoInterpreterError, run

pytestmark = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="this is a copy: git says which files belong to a checkout")

_TELL = """
import json, os, torch
umask = os.umask(0)
able = torch.cpu.get_capabilities()
where = os.path.basename(os.getcwd())
print(json.dumps([os.environ.get("HOME"), umask, os.cpu_count(), able["avx512_bf16"], where, os.geteuid()]))
"""


def done(name: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return run(CASES[name], arguments, output=subprocess.PIPE)
    except NoInterpreterError as reason:
        pytest.skip(str(reason))


@pytest.mark.parametrize("name", ["bare", "crowded"])
def test_jobs_are_done_elsewhere(name: str) -> None:
    made = done(name, *PYTEST, "tests/acceptance/intake/test_drops.py", "-k", "original or names_it or preset")
    assert made.returncode == 0, made.stdout.decode(errors="replace")
    assert b"3 passed" in made.stdout


def test_elsewhere_is_what_it_says() -> None:
    *told, user = json.loads(done("bare", "-c", _TELL).stdout)
    assert told == [None, 0o077, 1, False, "Fotos für Anna"]
    assert user != 0
    home, *told, user = json.loads(done("crowded", "-c", _TELL).stdout)
    assert home.endswith(f"/{NO_HOME}")
    assert not os.path.exists(home)
    assert told == [0o002, 16, True, "checkout"]
    assert user == os.geteuid()
