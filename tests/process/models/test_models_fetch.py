"""Weights arrive complete, checked and from the right place, or not at all; with the real client and a local hub."""

import errno
import hashlib
import json
import os
import signal
import subprocess
import sys

import huggingface_hub
import numpy as np
import pytest
from hub import COMMIT, Hub
from huggingface_hub import constants
from safetensors.numpy import save

from daemon.errors import DiskFull, Refusal, WeightsCorrupt, WeightsMissing
from pipeline import weights
from pipeline.weights import fetching, store
from pipeline.weights import hub as hub_client

MODEL = save({"numbers": np.arange(800_000, dtype=np.float32)})
FILES = {
    "config.json": b'{"model_type": "depth_anything"}',
    "preprocessor_config.json": b"{}",
    "model.safetensors": MODEL,
    "README.md": b"# not needed",
    "pytorch_model.bin": b"a pickle",
}
ENTRY = {
    "use": "depth", "repo": "some/model", "revision": "main", "licence": "MIT", "commercial": True, "bytes": 3_200_000,
    "files": ["config.json", "preprocessor_config.json", "model.safetensors"], "polarity": "disparity", "scale": "relative",
}  # fmt: skip


class Heard:
    """What a fetch reported."""

    def __init__(self):
        self.begun, self.came, self.whole = None, 0, []

    def begin(self, commit, total, have):
        self.begun = (commit, total, have)

    def arrived(self, count):
        self.came += count

    def checked(self, name, size):
        self.whole.append((name, size))


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub with one model, as the client in this process sees it."""
    with Hub({"some/model": dict(FILES)}) as served:
        monkeypatch.setattr(constants, "ENDPOINT", served.address)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", served.address + "/{repo_id}/resolve/{revision}/{filename}")
        monkeypatch.delenv("HF_TOKEN", raising=False)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no token"))
        yield served
        huggingface_hub.close_session()


def listed(**change):
    return weights.Catalogue.model_validate({"default_depth": "other", "models": {"m": {**ENTRY, **change}, "other": ENTRY}})


def fetch(tmp_path, heard=None, **change):
    options = {"free": change.pop("free")} if "free" in change else {}
    return fetching.fetch(
        "m", str(tmp_path / "models"), heard or Heard(), listed=listed(**change), pause=lambda _: None, **options
    )


def leave_partly_fetched(hub, tmp_path, count):
    """Leave this many bytes of the weights, as an interruption would."""
    hub.cuts["model.safetensors"] = [count] + [0] * 4
    with pytest.raises(Refusal):
        fetch(tmp_path)
    hub.asked.clear()


def test_exactly_the_listed_files_come_and_are_recorded_with_commit_and_hashes(hub, tmp_path):
    heard = Heard()
    made, fetched = fetch(tmp_path, heard)
    assert fetched
    folder = tmp_path / "models" / "m"
    assert sorted(os.listdir(folder)) == ["config.json", "model.safetensors", "multiplane.json", "preprocessor_config.json"]
    assert (folder / "model.safetensors").read_bytes() == MODEL
    assert made.revision == COMMIT
    assert made.files["model.safetensors"].sha256 == hashlib.sha256(MODEL).hexdigest()
    assert weights.locate("m", str(tmp_path / "models"), listed()).revision == COMMIT
    total = sum(len(FILES[name]) for name in ENTRY["files"])
    assert heard.begun == (COMMIT, total, 0)
    assert heard.came == total
    assert [name for name, _ in heard.whole] == ["preprocessor_config.json", "config.json", "model.safetensors"]
    assert sorted(os.listdir(tmp_path / "models")) == [".first-use.json", ".seen.json", "m"]
    resolved = sorted(each.path for each in hub.asked if "/resolve/" in each.path)
    assert resolved == sorted(f"/some/model/resolve/{COMMIT}/{name}" for name in ENTRY["files"])


def test_the_component_folders_of_a_diffusion_model_are_kept(hub, tmp_path):
    hub.repos["some/model"] = {"model_index.json": b"{}", "unet/config.json": b"{}", "unet/model.safetensors": MODEL}
    fetch(
        tmp_path, use="diffusion", part="pipeline", polarity=None, scale=None,
        files=["model_index.json", "unet/config.json", "unet/model.safetensors"],
    )  # fmt: skip
    assert (tmp_path / "models" / "m" / "unet" / "model.safetensors").read_bytes() == MODEL
    assert (tmp_path / "models" / "m" / "unet" / "config.json").exists()


def test_a_broken_connection_is_gone_on_with_at_the_byte_where_it_broke(hub, tmp_path):
    hub.cuts["model.safetensors"] = [100_000, 50_000]
    heard = Heard()
    fetch(tmp_path, heard)
    assert (tmp_path / "models" / "m" / "model.safetensors").read_bytes() == MODEL
    assert [each.range for each in hub.asked if "/cdn/" in each.path] == [None, "bytes=100000-", "bytes=150000-"]
    assert heard.came == heard.begun[1]


def test_a_connection_that_keeps_breaking_is_told_and_what_came_is_kept(hub, tmp_path):
    hub.cuts["model.safetensors"] = [100_000] + [0] * 4
    with pytest.raises(Refusal, match="cannot be reached") as told:
        fetch(tmp_path)
    assert "kept" in told.value.hint
    assert not weights.installed("m", str(tmp_path / "models"), listed())
    hub.asked.clear()
    heard = Heard()
    fetch(tmp_path, heard)
    assert [each.range for each in hub.asked if "/cdn/" in each.path] == ["bytes=100000-"]
    assert heard.begun[2] == 100_000 + len(FILES["config.json"]) + len(FILES["preprocessor_config.json"])
    assert [each.path for each in hub.asked if each.path.endswith(".json")] == []
    assert (tmp_path / "models" / "m" / "model.safetensors").read_bytes() == MODEL


def test_a_server_that_ignores_ranges_is_read_from_the_beginning(hub, tmp_path):
    leave_partly_fetched(hub, tmp_path, 100_000)
    hub.ignores_ranges = True
    heard = Heard()
    fetch(tmp_path, heard)
    assert (tmp_path / "models" / "m" / "model.safetensors").read_bytes() == MODEL
    assert heard.begun[2] + heard.came == heard.begun[1]


def test_a_part_of_another_commit_is_never_joined(hub, tmp_path):
    leave_partly_fetched(hub, tmp_path, 100_000)
    other = save({"numbers": np.arange(800_000, dtype=np.float32)[::-1].copy()})
    hub.commit = "f" * 40
    hub.repos["some/model"]["model.safetensors"] = other
    made, _ = fetch(tmp_path)
    assert (tmp_path / "models" / "m" / "model.safetensors").read_bytes() == other
    assert made.revision == "f" * 40
    assert [each.range for each in hub.asked if "/cdn/" in each.path] == [None]


def test_what_another_fetch_left_does_not_come_along(hub, tmp_path):
    staging = tmp_path / "models" / ".fetch-m"
    (staging / "unet").mkdir(parents=True)
    (staging / "unet" / "model.safetensors").write_bytes(b"of another revision")
    made, _ = fetch(tmp_path)
    assert sorted(made.files) == sorted(ENTRY["files"])
    assert not (tmp_path / "models" / "m" / "unet" / "model.safetensors").exists()


def test_a_fetch_that_was_killed_before_the_last_rename_is_finished_without_a_download(hub, tmp_path):
    fetch(tmp_path)
    (tmp_path / "models" / "m").rename(tmp_path / "models" / ".fetch-m")
    hub.asked.clear()
    assert fetch(tmp_path)[1]
    assert [each.path for each in hub.asked] == ["/api/models/some/model/revision/main"]
    assert weights.locate("m", str(tmp_path / "models"), listed()).revision == COMMIT


def test_a_disk_that_fills_up_on_the_way_is_told(hub, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(hub_client, "download", full)
    with pytest.raises(DiskFull, match="is full") as told:
        fetch(tmp_path)
    assert "kept" in told.value.own_hint


def test_a_busy_server_is_asked_again(hub, tmp_path):
    hub.refusals = [503, 429]
    made, _ = fetch(tmp_path)
    assert made.revision == COMMIT


@pytest.mark.parametrize("file", ["model.safetensors", "config.json"])
def test_bytes_that_are_not_what_the_hub_announced_are_refused_and_thrown_away(hub, tmp_path, file):
    hub.lies[file] = FILES[file][:-1] + b"?"
    with pytest.raises(WeightsCorrupt, match=f"{file} is not what the hub says"):
        fetch(tmp_path)
    assert not weights.installed("m", str(tmp_path / "models"), listed())
    assert not [name for name in os.listdir(tmp_path / "models" / ".fetch-m") if name.startswith(".")]
    hub.lies.clear()
    fetch(tmp_path)
    assert (tmp_path / "models" / "m" / file).read_bytes() == FILES[file]


def test_more_bytes_than_announced_are_not_written(hub, tmp_path):
    hub.lies["model.safetensors"] = MODEL + b"more"
    fetch(tmp_path)
    assert (tmp_path / "models" / "m" / "model.safetensors").read_bytes() == MODEL


def test_a_hub_that_announces_other_bytes_than_were_pinned_is_refused_before_they_come(hub, tmp_path):
    pinned = {"model.safetensors": hashlib.sha256(MODEL).hexdigest()}
    hub.repos["some/model"]["model.safetensors"] = MODEL[:-1] + b"?"
    with pytest.raises(WeightsCorrupt, match=r"another model.safetensors of some/model than the list of models says"):
        fetch(tmp_path, sha256=pinned)
    assert hub.downloads("model.safetensors") == []
    hub.repos["some/model"]["model.safetensors"] = MODEL
    assert fetch(tmp_path, sha256=pinned)[1]


def test_a_small_file_with_other_bytes_than_were_pinned_is_refused(hub, tmp_path):
    pinned = {"config.json": hashlib.sha256(FILES["config.json"]).hexdigest()}
    hub.repos["some/model"]["config.json"] = b'{"model_type": "something else"}'
    with pytest.raises(WeightsCorrupt, match=r"config.json is not what the list of models says"):
        fetch(tmp_path, sha256=pinned)


def test_a_hub_that_gives_another_commit_than_was_pinned_is_refused(hub, tmp_path, monkeypatch):
    look_up = hub_client.look_up
    monkeypatch.setattr(hub_client, "look_up", lambda repo, _, wanted: look_up(repo, "main", wanted))
    with pytest.raises(WeightsCorrupt, match=f"commit {COMMIT} instead of"):
        fetch(tmp_path, revision="a" * 40)


@pytest.mark.parametrize(
    "said",
    [
        {"lfs": {"sha256": "/../../../escaped", "size": len(MODEL), "pointerSize": 134}},
        {"lfs": None, "blobId": "../../../escaped"},
        {"lfs": None, "blobId": None},
        {"size": None},
        {"size": -1},
    ],
    ids=["a path as SHA-256", "a path as git's name", "no hash", "no size", "a negative size"],
)
def test_a_file_that_could_not_be_checked_is_not_fetched(hub, tmp_path, said):
    hub.announces["model.safetensors"] = said
    with pytest.raises(Refusal, match=r"does not say what model.safetensors should be"):
        fetch(tmp_path)
    assert hub.downloads("model.safetensors") == []
    assert os.listdir(tmp_path / "models") == []


def test_only_the_listed_files_need_to_be_checkable(hub, tmp_path):
    hub.announces["README.md"] = {"blobId": None, "size": None}
    assert fetch(tmp_path)[1]


@pytest.mark.parametrize("answer", [b"[1, 2]", b"hello", b'{"siblings": [{"lfs": {}}]}'])
def test_an_answer_that_is_not_a_hubs_is_told(hub, tmp_path, answer):
    hub.answer = answer
    with pytest.raises(Refusal, match="isn't a hub: its answer cannot be understood"):
        fetch(tmp_path)


@pytest.mark.parametrize("portal", ["page", "redirect", "file"])
def test_the_log_in_page_of_a_network_is_called_that(hub, tmp_path, portal):
    hub.portal = portal
    with pytest.raises(Refusal) as told:
        fetch(tmp_path)
    assert told.value.message == (
        f"A web page came instead of an answer from the hub at {hub.address}: probably the log-in page of this network."
    )
    assert "log in to the network" in told.value.hint
    hub.portal = None
    assert fetch(tmp_path)[1]


def test_a_download_that_is_sent_on_to_a_file_of_this_machine_is_refused(hub, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(MODEL)
    hub.sends_on["model.safetensors"] = secret.as_uri()
    with pytest.raises(Refusal, match="redirected to an address that is not on the web"):
        fetch(tmp_path)
    assert not weights.installed("m", str(tmp_path / "models"), listed())


def test_a_file_that_ends_before_the_announced_size_is_told_and_begun_anew(hub, tmp_path):
    hub.lies["model.safetensors"] = MODEL[:1_000_000]
    with pytest.raises(Refusal, match=r"gives ends after 1,000,000 of 3,200,0\d\d bytes"):
        fetch(tmp_path)
    assert not weights.installed("m", str(tmp_path / "models"), listed())
    hub.lies.clear()
    assert fetch(tmp_path)[1]


def test_a_small_file_in_place_of_a_large_model_is_refused_before_it_comes(hub, tmp_path):
    for change in ({"bytes": 1_367_460_000}, {"sizes": {"model.safetensors": 1_367_456_044}}):
        with pytest.raises(WeightsCorrupt, match="should"):
            fetch(tmp_path, revision=COMMIT, **change)
    assert hub.downloads("model.safetensors") == []
    assert os.listdir(tmp_path / "models") == []


def test_another_repository_is_refused_unless_its_bytes_are_known(hub, tmp_path):
    """The hub serves the small model for the base one, and claims the base one's commit."""
    hub.claims = "some/other"
    with pytest.raises(WeightsCorrupt, match="gave some/other instead of some/model"):
        fetch(tmp_path, revision=COMMIT)
    assert hub.downloads("model.safetensors") == []
    hub.repos["some/other"] = hub.repos["some/model"]
    assert fetch(tmp_path, revision=COMMIT, sha256={"model.safetensors": hashlib.sha256(MODEL).hexdigest()})[1]


def test_names_that_lead_out_of_the_folder_are_not_written(hub, tmp_path):
    hub.repos["some/model"] |= {"../../escaped.safetensors": MODEL, "/tmp/escaped": b"x"}
    fetch(tmp_path)
    assert sorted(os.listdir(tmp_path / "models" / "m")) == sorted([*ENTRY["files"], weights.RECORD])
    assert not list(tmp_path.rglob("*escaped*"))


def test_what_came_first_must_come_every_time(hub, tmp_path):
    fetch(tmp_path)
    store.remove("m", str(tmp_path / "models"), listed())
    hub.repos["some/model"]["model.safetensors"] = MODEL[:-1] + b"?"
    with pytest.raises(WeightsCorrupt, match=r"model.safetensors of some/model is not what came at the first fetch"):
        fetch(tmp_path)
    assert [name for name in os.listdir(tmp_path / "models") if not name.startswith(".")] == []
    hub.commit = "e" * 40  # another commit has other bytes
    assert fetch(tmp_path)[1]


def test_a_fetch_remembers_the_hashes_for_the_jobs(hub, tmp_path, monkeypatch):
    fetch(tmp_path)
    monkeypatch.setattr(hashlib, "file_digest", lambda *_: pytest.fail("a file was read again"))
    assert weights.locate("m", str(tmp_path / "models"), listed()).revision == COMMIT


def test_a_commit_that_is_none_is_refused(hub, tmp_path):
    hub.commit = "../../main"
    with pytest.raises(Refusal, match="does not say which commit"):
        fetch(tmp_path)


def test_a_model_that_exists_only_as_a_pickle_is_refused_and_not_downloaded(hub, tmp_path):
    del hub.repos["some/model"]["model.safetensors"]
    with pytest.raises(WeightsMissing, match=r"only as pickles \(pytorch_model.bin\)"):
        fetch(tmp_path)
    assert hub.downloads("pytorch_model.bin") == []
    assert not (tmp_path / "models" / ".fetch-m").exists()


def test_a_pickle_under_the_name_of_a_safetensors_file_is_refused(hub, tmp_path):
    hub.repos["some/model"]["model.safetensors"] = b"\x80\x04\x95" + bytes(len(MODEL))
    with pytest.raises(WeightsCorrupt, match="is not a safetensors file"):
        fetch(tmp_path)
    assert not weights.installed("m", str(tmp_path / "models"), listed())


def test_a_file_that_the_repository_does_not_have_is_named(hub, tmp_path):
    with pytest.raises(WeightsMissing, match=r"no vocab.json"):
        fetch(tmp_path, files=[*ENTRY["files"], "vocab.json"])


def test_too_little_room_is_told_with_the_sizes_before_anything_is_downloaded(hub, tmp_path):
    with pytest.raises(DiskFull, match=r"3.2 MB to come, 1.0 MB free"):
        fetch(tmp_path, free=lambda _: 1_000_000)
    assert hub.downloads("model.safetensors") == []
    assert hub.downloads("config.json") == []


def test_what_is_there_already_needs_no_room_again(hub, tmp_path):
    leave_partly_fetched(hub, tmp_path, 3_000_000)
    assert fetch(tmp_path, free=lambda _: 250_000)[1]


def test_intact_weights_are_not_fetched_again_and_damaged_ones_are(hub, tmp_path):
    fetch(tmp_path)
    hub.asked.clear()
    assert not fetch(tmp_path)[1]
    assert [each.path for each in hub.asked] == ["/api/models/some/model/revision/main"]
    path = tmp_path / "models" / "m" / "model.safetensors"
    path.write_bytes(MODEL[:-1] + b"?")
    assert fetch(tmp_path)[1]
    assert path.read_bytes() == MODEL
    assert sorted(os.listdir(tmp_path / "models")) == [".first-use.json", ".seen.json", "m"]


def test_a_pinned_commit_that_is_installed_asks_the_hub_nothing(hub, tmp_path):
    fetch(tmp_path, revision=COMMIT)
    hub.asked.clear()
    assert not fetch(tmp_path, revision=COMMIT)[1]
    assert hub.asked == []


def test_a_file_that_was_listed_since_is_fetched(hub, tmp_path):
    fetch(tmp_path, revision=COMMIT)
    made, fetched = fetch(tmp_path, revision=COMMIT, files=[*ENTRY["files"], "README.md"])
    assert fetched
    assert "README.md" in made.files


@pytest.mark.parametrize(("repo", "revision"), [("nobody/nothing", "main"), ("some/model", "elsewhere")])
def test_what_the_hub_does_not_have_is_told(hub, tmp_path, repo, revision):
    with pytest.raises(Refusal, match=f"has no {repo} at revision {revision}"):
        fetch(tmp_path, repo=repo, revision=revision)


def test_an_accounts_token_goes_to_the_hub_and_nowhere_else(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    fetch(tmp_path)
    sent = {each.path.startswith("/cdn/"): each.authorization for each in hub.asked}
    assert sent == {False: "Bearer hf_secret", True: None}


def test_offline_is_told_and_obeyed(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(Refusal, match="HF_HUB_OFFLINE"):
        fetch(tmp_path)
    assert hub.asked == []


def test_one_fetch_at_a_time(hub, tmp_path):
    class Second(Heard):
        def begin(self, commit, total, have):
            with pytest.raises(Refusal, match="Another command is fetching"):
                fetch(tmp_path)
            super().begin(commit, total, have)

    second = Second()
    fetch(tmp_path, second)
    assert second.begun


def test_the_loopback_hub_satisfies_the_clients_own_download(hub, tmp_path):
    """The other tests rely on this: the client's own download function, with its own checks, accepts this hub."""
    path = huggingface_hub.hf_hub_download("some/model", "model.safetensors", local_dir=tmp_path / "own")
    with open(path, "rb") as file:
        assert file.read() == MODEL


def test_a_killed_fetch_goes_on_where_it_was(hub, tmp_path):
    path = tmp_path / "models.yaml"
    path.write_text(json.dumps({"default_depth": "m", "models": {"m": ENTRY}}))
    command = [
        sys.executable, "-P", "-m", "pipeline", "models", "fetch", "m", "--folder", str(tmp_path / "models"),
        "--catalogue", str(path),
    ]  # fmt: skip
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "HF_ENDPOINT": hub.address}
    hub.stalls["model.safetensors"] = 1_000_000
    killed = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    staging = tmp_path / "models" / ".fetch-m"
    assert hub.stalled.wait(30)
    while not any(each.stat().st_size >= 500_000 for each in staging.glob(".*.part")):
        assert killed.poll() is None
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    (part,) = staging.glob(".*.part")
    kept = part.stat().st_size
    hub.stalls.clear()
    hub.asked.clear()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert [each.range for each in hub.asked if "/cdn/" in each.path] == [f"bytes={kept}-"]
    assert "m is installed: 3.2 MB, revision 0123456789ab." in done.stdout
    assert (tmp_path / "models" / "m" / "model.safetensors").read_bytes() == MODEL


#: As a shell starts what it runs in the background: Ctrl-C is not for it.
IN_BACKGROUND = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.mark.parametrize("ending", ["the end of its input", "SIGTERM"])
def test_a_fetch_on_the_way_ends_when_nobody_waits_for_it_any_more(hub, tmp_path, ending):
    path = tmp_path / "models.yaml"
    path.write_text(json.dumps({"default_depth": "m", "models": {"m": ENTRY}}))
    command = [
        sys.executable, "-c", IN_BACKGROUND, sys.executable, "-P", "-m", "pipeline", "models", "fetch-default",
        "--folder", str(tmp_path / "models"), "--catalogue", str(path), "--later", "later",
    ]  # fmt: skip
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "HF_ENDPOINT": hub.address}
    hub.stalls["model.safetensors"] = 1_000_000
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as fetching:
        assert hub.stalled.wait(60)
        if ending == "SIGTERM":
            fetching.terminate()
            _, said = fetching.communicate(timeout=60)
        else:
            _, said = fetching.communicate("", timeout=60)
    assert fetching.returncode == 130
    assert "What was already fetched is kept" in said
    assert "No depth model yet" not in said
