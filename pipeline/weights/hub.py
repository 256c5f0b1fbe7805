"""Asks the Hugging Face hub what a repository contains at a revision, and downloads its files.

The hub's own client handles addresses, accounts, redirects, `HF_ENDPOINT` and `HF_HUB_OFFLINE`. This module writes the files
itself: after an interruption, `hf_hub_download` (version 1 and later) starts a file from the beginning, but a file of gigabytes
over a slow line must continue where it stopped.
"""

import json
import re
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

import httpx2
from huggingface_hub import HfApi, constants, get_session, hf_hub_url
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoSibling
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status  # type: ignore[attr-defined]  # public, but re-exported

from daemon.contract.commands import as_code
from daemon.errors import Refusal

UNAVAILABLE = 69
"""Exit status when the hub cannot be reached or refuses (sysexits.h, EX_UNAVAILABLE)."""
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
"""Formats of weights that can run code when they are loaded."""
_REPO = re.compile(r"[\w.-]+/[\w.-]+")
_SHA1, _SHA256 = re.compile(r"[0-9a-f]{40}"), re.compile(r"[0-9a-f]{64}")
_ATTEMPTS = 5  # consecutive attempts without a single new byte; after them, the download is given up
_LONGEST_PAUSE = 8.0  # seconds between attempts: 1, 2, 4, 8
_PASSING = (408, 429, 500, 502, 503, 504)  # HTTP statuses that will probably pass


@dataclass(frozen=True)
class RemoteFile:
    """A file as the hub announces it.

    Attributes:
        name: relative path in the repository.
        bytes: its size.
        sha256: its hash if it is stored in Git LFS, as weights always are; None otherwise.
        git_oid: SHA-1 of its git blob if it is not stored in Git LFS; None otherwise.
    """

    name: str
    bytes: int
    sha256: str | None
    git_oid: str | None


@dataclass(frozen=True)
class Snapshot:
    """A repository at one commit.

    Attributes:
        repo: `owner/name`, as the hub spells it.
        commit: the full hash.
        files: name → file, for the requested files that exist.
        others: the names of all other files.
    """

    repo: str
    commit: str
    files: dict[str, RemoteFile]
    others: tuple[str, ...]


def endpoint() -> str:
    """The address of the hub: huggingface.co, or what `HF_ENDPOINT` says."""
    return constants.ENDPOINT


def look_up(repo: str, revision: str, wanted: Collection[str]) -> Snapshot:
    """Ask the hub what a repository contains.

    Args:
        repo: `owner/name`.
        revision: branch, tag or commit.
        wanted: names of files.

    Raises:
        Refusal: the hub cannot be reached, denies access, or does not say how the files can be checked.
    """
    with _errors_as_refusals(repo, revision):
        try:
            info = HfApi().model_info(repo, revision=revision, files_metadata=True, timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT)
        except (KeyError, TypeError, AttributeError) as reason:
            raise ValueError("its answer is not a hub's") from reason
    # These values come from outside and end up in paths and on terminals, so their form is checked first.
    if info.sha is None or not _SHA1.fullmatch(info.sha):
        raise Refusal(f"The hub at {endpoint()} does not say which commit {revision} of {repo} is.", hint=_AGAIN)
    siblings = info.siblings or []
    files = {each.rfilename: _announced(each) for each in siblings if each.rfilename in wanted}
    others = (each.rfilename for each in siblings if each.rfilename not in wanted and each.rfilename.isprintable())
    named = info.id if isinstance(info.id, str) and _REPO.fullmatch(info.id) else repo
    return Snapshot(named, info.sha, files, tuple(others))


def _announced(each: RepoSibling) -> RemoteFile:
    """One file of the hub's answer.

    Raises:
        Refusal: it has no size, or neither a SHA-256 nor a git hash, so nothing could be checked.
    """
    sha256 = each.lfs.sha256 if each.lfs is not None else None
    git_oid = each.blob_id if each.lfs is None else None
    named = _SHA256.fullmatch(sha256 or "") or _SHA1.fullmatch(git_oid or "")
    if not named or not isinstance(each.size, int) or each.size < 0:
        raise Refusal(
            f"The hub at {endpoint()} does not say what {each.rfilename} should be, so it could not be checked.",
            hint="Do not trust the source of the files: HF_ENDPOINT, if it is set, or a proxy in your network.",
            exit_status=UNAVAILABLE,
        )
    return RemoteFile(each.rfilename, each.size, sha256, git_oid)


def download(
    snapshot: Snapshot,
    wanted: RemoteFile,
    target: BinaryIO,
    arrived: Callable[[int], None],
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Download the missing part of a file.

    Args:
        snapshot: where it comes from.
        wanted: the file.
        target: open for appending, unbuffered; contains what arrived earlier.
        arrived: called with the number of bytes that arrived; negative if the server cannot continue and everything starts
            again.
        pause: waits between attempts.

    Raises:
        Refusal: the hub cannot be reached, or the connection keeps breaking; what has arrived stays in `target`.
        OSError: `target` cannot be written.
    """
    url = hf_hub_url(snapshot.repo, wanted.name, revision=snapshot.commit)
    failures = 0
    with _errors_as_refusals(snapshot.repo, snapshot.commit):
        while (before := target.tell()) < wanted.bytes:
            try:
                _stream(url, target, wanted.bytes, arrived)
                broken: Exception = httpx2.RemoteProtocolError("the connection was closed too early")
            except httpx2.UnsupportedProtocol:
                raise  # redirected to something that isn't a web address; trying again is useless
            except (httpx2.TransportError, HfHubHTTPError) as reason:
                if isinstance(reason, HfHubHTTPError) and reason.response.status_code not in _PASSING:
                    raise
                broken = reason
            if target.tell() >= wanted.bytes:
                return
            failures = 1 if target.tell() > before else failures + 1
            if failures == _ATTEMPTS:
                raise broken
            pause(min(2.0 ** (failures - 1), _LONGEST_PAUSE))


def _stream(url: str, target: BinaryIO, size: int, arrived: Callable[[int], None]) -> None:
    """Make one request for everything from the end of `target` up to `size`."""
    have = target.tell()
    # Compressed answers have no ranges, so an interrupted download could not continue.
    headers = build_hf_headers() | {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with get_session().stream("GET", url, headers=headers, timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT) as response:
        if response.status_code == httpx2.codes.RANGE_NOT_SATISFIABLE:  # the file ends here
            target.seek(0)
            target.truncate()
            arrived(-have)
            raise Refusal(
                f"What the hub at {endpoint()} gives ends after {have:,} of {size:,} bytes; it was discarded.",
                hint="Run the same command again.",
                exit_status=UNAVAILABLE,
            )
        hf_raise_for_status(response)
        if response.headers.get("Content-Type", "").startswith("text/html"):
            raise _WebPageError
        if have and response.status_code != httpx2.codes.PARTIAL_CONTENT:
            target.seek(0)
            target.truncate()
            arrived(-have)
        for chunk in response.iter_bytes():
            taken = chunk[: size - target.tell()]
            target.write(taken)
            arrived(len(taken))
            if len(taken) < len(chunk):
                return  # the hub sent more than it announced; the hash will show whether the file is correct


_AGAIN = "Run the same command again later; what was already fetched is kept."


class _WebPageError(Exception):
    """The server sent a web page for people instead of a hub's answer."""


@contextmanager
def _errors_as_refusals(repo: str, revision: str) -> Iterator[None]:
    """Turn the client's errors into refusals."""
    try:
        yield
    except OfflineModeIsEnabled as reason:
        raise Refusal(
            "Nothing can be fetched: HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set.",
            hint="Unset it in this terminal and run the same command again.",
            exit_status=UNAVAILABLE,
        ) from reason
    except GatedRepoError as reason:
        raise Refusal(
            f"{repo} is only available to accounts that its authors approve.",
            hint=f"Ask for access at {endpoint()}/{repo}, then log in with {as_code('hf auth login')} and run the same command "
            "again.",
            exit_status=UNAVAILABLE,
        ) from reason
    except (RepositoryNotFoundError, RevisionNotFoundError) as reason:
        raise Refusal(
            f"The hub at {endpoint()} has no {repo} at revision {revision}.",
            hint="Correct the model's repo and revision in the list of models.",
            exit_status=UNAVAILABLE,
        ) from reason
    except HfHubHTTPError as reason:
        raise Refusal(
            f"The hub at {endpoint()} refused: HTTP {reason.response.status_code}.", hint=_AGAIN, exit_status=UNAVAILABLE
        ) from reason
    except _WebPageError as reason:
        raise _web_page() from reason
    except httpx2.UnsupportedProtocol as reason:
        raise Refusal(
            f"The hub at {endpoint()} redirected to an address that is not on the web.",
            hint="Do not trust the source of the files: HF_ENDPOINT, if it is set, or a proxy in your network.",
            exit_status=UNAVAILABLE,
        ) from reason
    except ValueError as reason:
        if isinstance(reason, json.JSONDecodeError) and reason.doc.lstrip("\ufeff \r\n\t").startswith("<"):
            raise _web_page() from reason
        raise Refusal(
            f"What answers at {endpoint()} isn't a hub: its answer cannot be understood.",
            hint=f"Check HF_ENDPOINT, if it is set, and the network connection. {_AGAIN}",
            exit_status=UNAVAILABLE,
        ) from reason
    except httpx2.HTTPError as reason:
        raise Refusal(
            f"The hub at {endpoint()} cannot be reached: {reason or type(reason).__name__}.",
            hint=f"Check the network connection. {_AGAIN}",
            exit_status=UNAVAILABLE,
        ) from reason


def _web_page() -> Refusal:
    return Refusal(
        f"A web page came instead of an answer from the hub at {endpoint()}: probably the log-in page of this network.",
        hint=f"Open any page in a browser and log in to the network. {_AGAIN}",
        exit_status=UNAVAILABLE,
    )
