"""The keys of a cluster, and which connections are allowed at all."""

import datetime
import os
import ssl
import stat

import pytest

from daemon.cluster.keys import make_keys, valid_until
from daemon.cluster.security import Credentials, security, trouble_of
from daemon.errors import Refusal
from daemon.fs import LocalFiles
from daemon.settings import load
from daemon.settings.scheduler_address import checked_address


def settings(tmp_path, **cluster: str):
    return load(tmp_path, {"MULTIPLANE_CONFIG": "", **{f"MULTIPLANE_CLUSTER__{key}": value for key, value in cluster.items()}})


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("tls://studio.local", "tls://studio.local:8786"),
        ("tls://[fd00::1]:9000", "tls://[fd00::1]:9000"),
        ("tcp://127.0.0.1:1", "tcp://127.0.0.1:1"),
        ("tcp://[::1]", "tcp://[::1]:8786"),
    ],
)
def test_an_address_gets_the_usual_port(typed, found) -> None:
    assert checked_address(typed) == found


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("tcp://192.168.0.7:8786", "runs any program that anybody sends it"),
        ("tcp://studio.local", "must be encrypted"),
        ("studio.local:8786", "must be an address such as tls://"),
        ("tls://studio.local:99999", "must be an address"),
        ("inproc://x", "must be an address"),
    ],
)
def test_an_address_that_is_not_protected_is_refused_with_the_reason(tmp_path, typed, said) -> None:
    with pytest.raises(Refusal) as refused:
        settings(tmp_path, SCHEDULER=typed)
    assert said in refused.value.message
    assert "MULTIPLANE_CLUSTER__SCHEDULER: cluster.scheduler" in refused.value.message
    with pytest.raises(Refusal):
        security(settings(tmp_path), typed)


def test_a_tls_address_without_certificates_is_refused(tmp_path) -> None:
    with pytest.raises(Refusal, match=r"cluster\.certificate and cluster\.key must be set"):
        settings(tmp_path, SCHEDULER="tls://studio", CA="/ca.pem")


def test_machines_of_one_authority_trust_each_other_and_nobody_else(tmp_path) -> None:
    one, other = (make_keys(LocalFiles(), str(tmp_path / name), ["daemon", "mac-1"]) for name in ("one", "other"))
    assert shake_hands(tmp_path / "one", one[0], one[1]) is None
    assert "CERTIFICATE_VERIFY_FAILED" in shake_hands(tmp_path / "one", one[0], other[1])
    assert "PEER_DID_NOT_RETURN_A_CERTIFICATE" in shake_hands(tmp_path / "one", one[0], None)
    assert stat.S_IMODE(os.stat(one[0].key).st_mode) == 0o600
    until = valid_until((tmp_path / "one" / "daemon.pem").read_bytes())
    assert until > datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=3000)


def shake_hands(folder, server, client) -> str | None:
    """The error of a handshake in memory between two machines, with the context that Dask uses; None if it succeeds."""
    ca = str(folder / "ca.pem")
    served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=ca)
    served.load_cert_chain(server.certificate, server.key)
    served.verify_mode = ssl.CERT_REQUIRED
    asking = ssl.create_default_context(cafile=ca)
    asking.check_hostname = False
    if client is not None:
        asking.load_cert_chain(client.certificate, client.key)
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [served.wrap_bio(to_server, to_client, server_side=True), asking.wrap_bio(to_client, to_server)]
    for _ in range(10):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError as error:
                return error.reason
        with_data = ends[0].version() and ends[1].version()
    return None if with_data else "no connection"


def test_existing_keys_are_never_replaced(tmp_path) -> None:
    folder = str(tmp_path)
    make_keys(LocalFiles(), folder, ["a"])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(Refusal, match="exists already"):
        make_keys(LocalFiles(), folder, ["b", "a"])
    make_keys(LocalFiles(), folder, ["b"])
    assert before.items() <= {path.name: path.read_bytes() for path in tmp_path.iterdir()}.items()
    with pytest.raises(Refusal, match="cannot be the name"):
        make_keys(LocalFiles(), folder, ["../x"])


def test_files_that_cannot_be_used_are_named(tmp_path) -> None:
    (made,) = make_keys(LocalFiles(), str(tmp_path), ["a"])
    files = Credentials(str(tmp_path / "ca.pem"), made.certificate, made.key)
    assert trouble_of(files) is None
    assert "cannot be used" in trouble_of(Credentials(files.ca, files.certificate, str(tmp_path / "ca-key.pem")))
    assert "cannot be read" in trouble_of(Credentials(files.ca, str(tmp_path / "gone.pem"), files.key))
    os.chmod(made.key, 0o644)
    assert "others may read it" in trouble_of(files)
