"""Runs a few jobs in two unusual environments that combine many differences; `make soak` runs the whole suite in each."""

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator

import pytest

from tests.surroundings import CASES, NO_HOME, PYTEST, ROOT, Machine, NoInterpreterError, machine, main

pytestmark = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="this is a copy: git says which files belong to a checkout")

_TELL = """
import json, os, torch
umask = os.umask(0)
able = torch.cpu.get_capabilities()
where = os.path.basename(os.getcwd())
print(json.dumps([os.environ.get("HOME"), umask, os.cpu_count(), able["avx512_bf16"], where, os.geteuid()]))
"""


@pytest.fixture(scope="module", params=["bare", "crowded"])
def elsewhere(request: pytest.FixtureRequest) -> Iterator[tuple[str, Machine]]:
    """One of the machines, by its name."""
    with contextlib.ExitStack() as stack:
        try:
            made = stack.enter_context(machine(CASES[request.param]))
        except NoInterpreterError as reason:
            pytest.skip(str(reason))
        yield request.param, made


def test_jobs_are_done_elsewhere(elsewhere: tuple[str, Machine]) -> None:
    chosen = (*PYTEST, "tests/acceptance/intake/test_drops.py", "-k", "original or names_it or preset")
    made = elsewhere[1].run(*chosen, output=subprocess.PIPE)
    assert made.returncode == 0, made.stdout.decode(errors="replace")
    assert b"3 passed" in made.stdout


def test_elsewhere_is_what_it_says(elsewhere: tuple[str, Machine]) -> None:
    name, made = elsewhere
    home, *told, user = json.loads(made.run("-c", _TELL, output=subprocess.PIPE).stdout)
    if name == "bare":
        assert home is None
        assert told == [0o077, 1, False, "Fotos für Anna"]
        assert user != 0
    else:
        assert home.endswith(f"/{NO_HOME}")
        assert not os.path.exists(home)
        assert told == [0o002, 16, True, "checkout"]
        assert user == os.geteuid()


def test_cases_are_named_as_the_guide_names_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nobody", "odd path", "moon", "--", "tests/unit"]) == 2
    assert capsys.readouterr().err.startswith("there is no case moon; there are no bfloat16, ")
