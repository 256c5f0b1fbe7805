"""Everything that a hostile worker leaves in its folder is counted, and can be removed, however it is hidden."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from daemon.errors import OutputTooLarge, WorkerCrashed
from daemon.fs import LocalFiles, remove_tree
from daemon.outbox import check_result
from daemon.supervisor import SupervisorRules
from daemon.supervisor.usage import Usage

from results import make_result  # isort: skip

MIB = 1 << 20
#: Long enough that 2,500 of them cannot be named together: a path has 4,096 bytes on Linux, 1,024 on macOS.
DEEP, NAME = 2_500, b"a folder in a folder"
#: Descriptors beyond those that earlier tests left open: far fewer than there are folders.
FEW = 64


def dig(folder: Path, data: bytes = b"") -> None:
    """A file with these bytes at the end of a path that is longer than the system's limit."""
    fd = os.open(folder, os.O_RDONLY)
    for _ in range(DEEP):
        os.mkdir(NAME, dir_fd=fd)
        fd, above = os.open(NAME, os.O_RDONLY, dir_fd=fd), fd
        os.close(above)
    file = os.open(b"hidden", os.O_WRONLY | os.O_CREAT, 0o600, dir_fd=fd)
    os.write(file, data)
    os.close(file)
    os.close(fd)


def usage(folder: Path, limit: int) -> str | None:
    return Usage(LocalFiles(), os.fsencode(folder), SupervisorRules(max_output_bytes=limit)).excess()


def test_what_lies_deeper_than_a_path_can_say_counts_and_is_removed(tmp_path):
    attempt = tmp_path / "attempt"
    attempt.mkdir()
    dig(attempt, bytes(MIB))
    try:
        assert usage(attempt, MIB) is None
        assert "more than the 1 MB" in usage(attempt, MIB - 1)
    finally:
        remove_tree(LocalFiles(), os.fsencode(attempt))
    assert os.listdir(tmp_path) == []


def test_walking_takes_few_descriptors(tmp_path):
    resource = pytest.importorskip("resource")
    dig(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/dev/fd")))
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(highest + FEW, soft), hard))
    try:
        assert sum(1 for _ in LocalFiles().tree(os.fsencode(tmp_path))) == DEEP + 1
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        remove_tree(LocalFiles(), os.fsencode(tmp_path))


def test_a_flood_of_empty_files_is_called_that(tmp_path):
    for number in range(3_001):
        (tmp_path / str(number)).touch()
    assert "3,000 files and folders" in usage(tmp_path, MIB)


def test_a_sparse_file_counts_by_its_length(tmp_path):
    with open(tmp_path / "sparse", "wb") as file:
        file.truncate(100 * MIB)
    assert "more than the 20 MB" in usage(tmp_path, 20 * MIB)


@pytest.mark.skipif(not hasattr(os, "posix_fallocate") or sys.platform != "linux", reason="no blocks without length elsewhere")
def test_blocks_beyond_a_files_length_count(tmp_path):
    path = tmp_path / "blocks"
    if subprocess.run(["fallocate", "--keep-size", "-l", "8M", path], check=False).returncode:
        pytest.skip("this file system reserves no blocks")
    assert "more than the 4 MB" in usage(tmp_path, 4 * MIB)


def test_a_result_with_a_bottomless_folder_is_refused(tmp_path):
    said = make_result(tmp_path)
    dig(tmp_path / "result")
    with pytest.raises(WorkerCrashed, match="nested more than 8 deep"):
        check_result(LocalFiles(), os.fsencode(tmp_path), said, max_bytes=20 * MIB)
    remove_tree(LocalFiles(), os.fsencode(tmp_path / "result"))


def test_a_file_that_is_reported_twice_is_refused(tmp_path):
    said = make_result(tmp_path)
    lie = said.outputs[0].model_copy(update={"sha256": "0" * 64})
    with pytest.raises(WorkerCrashed, match="twice"):
        check_result(
            LocalFiles(), os.fsencode(tmp_path), said.model_copy(update={"outputs": (lie, *said.outputs)}), max_bytes=MIB
        )


def test_a_sparse_result_above_the_limit_is_refused_before_it_is_read(tmp_path):
    said = make_result(tmp_path)
    os.truncate(tmp_path / "result" / "Layer_1.png", 100 << 30)
    with pytest.raises(OutputTooLarge):
        check_result(LocalFiles(), os.fsencode(tmp_path), said, max_bytes=20 * MIB)


#: As a plain user, whom modes keep out.
MODES = """
import os, sys
from daemon.fs import LocalFiles, remove_tree
from daemon.supervisor import SupervisorRules
from daemon.supervisor.usage import Usage
folder = os.fsencode(sys.argv[1])
if os.getuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
os.makedirs(folder + b"/attempt/hidden/below")
open(folder + b"/attempt/hidden/below/file", "wb").close()
os.chmod(folder + b"/attempt/hidden/below", 0)
os.chmod(folder + b"/attempt/hidden", 0o300)
print(Usage(LocalFiles(), folder + b"/attempt", SupervisorRules(max_output_bytes=1 << 20)).excess())
remove_tree(LocalFiles(), folder + b"/attempt")
"""


def test_a_folder_that_keeps_its_owner_out_hides_nothing_and_is_removed(tmp_path):
    # Below /tmp itself: pytest's own folders let nobody else in.
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, 0o777)
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        done = subprocess.run([sys.executable, "-c", MODES, folder], env=environment, capture_output=True, text=True, check=True)
        assert "cannot be read" in done.stdout
        assert os.listdir(folder) == []
