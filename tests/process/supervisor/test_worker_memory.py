"""How a worker's environment makes the C library allocate memory."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from daemon.supervisor.environment import worker_environment

#: Fills, frees and fills arrays of 40 MB again, in this thread and in another; prints the page faults of each second time.
_TWICE = """
import resource, threading
import numpy as np
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(40_000_000, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
threads = [threading.Thread(target=lambda: print(faults())) for _ in range(2)]
for thread in threads:
    thread.start()
    thread.join()
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these settings")
def test_memory_that_a_worker_frees_is_used_again_without_page_faults(tmp_path: Path) -> None:
    environment = worker_environment(os.environ, tmp=os.fsencode(tmp_path), threads=2)
    done = subprocess.run([sys.executable, "-c", _TWICE], env=environment, check=True, capture_output=True, text=True)
    assert all(int(faults) < 200 for faults in done.stdout.split()), done.stdout
