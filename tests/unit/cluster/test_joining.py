"""The name of a machine in a cluster is that of its certificate, so that machines with one host name can all join."""

import os

import pytest

from daemon.cluster.keys import make_keys
from daemon.cluster.machine.joining import name_in_cluster, why_not_joined
from daemon.cluster.machine.naming import own_name
from daemon.contract.commands import unmarked
from daemon.fs import LocalFiles
from daemon.settings import Settings, load


def settings(tmp_path, **cluster: str) -> Settings:
    return load(tmp_path, {"MULTIPLANE_CONFIG": "", **{f"MULTIPLANE_CLUSTER__{key}": value for key, value in cluster.items()}})


def test_machines_with_one_host_name_have_the_names_of_their_certificates(tmp_path) -> None:
    for made in make_keys(LocalFiles(), str(tmp_path / "keys"), ["mac-1", "mac-2"]):
        files = {"CA": str(tmp_path / "keys" / "ca.pem"), "CERTIFICATE": made.certificate, "KEY": made.key}
        assert name_in_cluster(settings(tmp_path, **files)) == made.name


@pytest.mark.parametrize("content", [None, b"no certificate"])
def test_without_a_certificate_that_can_be_read_the_name_is_the_host_name(tmp_path, content) -> None:
    assert name_in_cluster(settings(tmp_path)) == own_name()
    path = tmp_path / "own.pem"
    if content is not None:
        path.write_bytes(content)
    files = dict.fromkeys(("CA", "CERTIFICATE", "KEY"), os.fspath(path))
    assert name_in_cluster(settings(tmp_path, **files)) == own_name()


def test_a_name_that_is_taken_is_told_with_the_remedy() -> None:
    """As Dask raises it: a RuntimeError with a ValueError as its cause."""
    error = RuntimeError("Worker failed to start.")
    error.__cause__ = ValueError(
        "Unexpected response from register: {'status': 'error', 'message': 'name taken, mac', 'time': 1}"
    )
    told = unmarked(why_not_joined(error, "mac"))
    assert told.startswith("another machine of the name mac has joined.")
    assert "multiplane cluster worker --name NAME" in told
    assert "multiplane service install --worker --name NAME" in told
    assert why_not_joined(OSError("Timed out"), "mac") == "Timed out"
