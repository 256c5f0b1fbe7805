"""Weights are used only if they are listed, present, complete, and match the record of their fetch."""

import hashlib
import json
import os

import pytest

from daemon.contract.commands import unmarked
from daemon.errors import Internal, LicenceNotAccepted, WeightsCorrupt, WeightsMissing
from pipeline import weights
from pipeline.weights.hash_cache import CACHE, HashCache

ENTRY = {
    "use": "depth", "repo": "some/model", "revision": "main", "licence": "MIT", "commercial": True, "bytes": 10,
    "files": ["sub/config.json", "model.safetensors"], "polarity": "disparity", "scale": "relative",
}  # fmt: skip


def listed(**models):
    first = next(iter(models))
    return weights.Catalogue.model_validate({"default_depth": first, "models": models})


@pytest.fixture
def fetched(tmp_path):
    """A folder as a finished fetch leaves it."""
    folder = tmp_path / "models" / "m"
    (folder / "sub").mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"numbers")
    (folder / "sub" / "config.json").write_text("{}")
    catalogue = listed(m=ENTRY)
    weights.record("m", str(folder), catalogue.models["m"], "abc123")
    return folder, str(tmp_path / "models"), catalogue


def test_the_shipped_list_is_valid_and_prefers_the_free_small_model():
    shipped = weights.catalogue()
    assert shipped.depth_models()[0] == "depth-anything-v2-small"
    small = shipped.models["depth-anything-v2-small"]
    assert (small.repo, small.licence, small.commercial) == ("depth-anything/Depth-Anything-V2-Small-hf", "Apache-2.0", True)
    for name in ("depth-anything-v2-base", "depth-anything-v2-large"):
        assert (shipped.models[name].licence, shipped.models[name].commercial) == ("CC-BY-NC-4.0", False)
    polarity = {name: shipped.models[name].polarity for name in shipped.depth_models()}
    assert polarity["dpt-large"] == "disparity"
    assert polarity["depth-anything-v2-indoor"] == polarity["depth-anything-v2-outdoor"] == "distance"


def test_every_shipped_model_is_of_one_commit_and_the_default_is_known_byte_for_byte():
    shipped = weights.catalogue().models
    unknown = "prompt-depth-anything-small"  # no public listing shows the full hash of its latest commit
    assert [name for name, entry in shipped.items() if entry.commit is None] == [unknown]
    assert [name for name, entry in shipped.items() if not entry.pinned] == [
        "depth-anything-v2-base", "dpt-large", "depth-pro", unknown, "stable-diffusion-1.5-inpainting",
    ]  # fmt: skip
    small = shipped["depth-anything-v2-small"]
    assert set(small.sha256) == set(small.sizes) == set(small.files)


def test_every_shipped_model_says_what_it_is_for():
    assert [name for name, entry in weights.catalogue().models.items() if not entry.purpose] == []


def test_a_model_that_needs_depth_of_the_photos_own_is_for_such_photos_only():
    shipped = weights.catalogue()
    assert shipped.prompted_models() == ("prompt-depth-anything-small",)
    assert "prompt-depth-anything-small" not in shipped.depth_models()
    assert shipped.matting_models() == ("vitmatte-small",)
    with pytest.raises(ValueError, match="works only on photos with depth of their own"):
        weights.Catalogue(default_depth="prompt-depth-anything-small", models=shipped.models)


def test_only_safetensors_are_listed():
    for entry in weights.catalogue().models.values():
        assert not [file for file in entry.files if file.endswith((".bin", ".pt", ".pth", ".ckpt", ".pkl", ".py"))]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"colour": "blue"}, "colour"),
        ({"polarity": "upwards"}, "polarity"),
        ({"polarity": None}, "polarity"),
        ({"files": ["../../etc/model.safetensors"]}, "relative"),
        ({"files": ["model.bin"]}, "safetensors"),
        ({"repo": None}, "repo"),
        ({"path": "/somewhere"}, "path"),
        ({"use": "diffusion"}, "part"),
        ({"repo": "not a repo"}, "repo"),
    ],
)
def test_a_wrong_list_is_refused_and_the_fault_named(tmp_path, change, named):
    path = tmp_path / "models.yaml"
    path.write_text(json.dumps({"default_depth": "m", "models": {"m": {**ENTRY, **change}}}))
    with pytest.raises(Internal, match=named):
        weights.catalogue(str(path))


def test_a_default_that_is_not_listed_is_refused(tmp_path):
    path = tmp_path / "models.yaml"
    path.write_text(json.dumps({"default_depth": "other", "models": {"m": ENTRY}}))
    with pytest.raises(Internal, match="default_depth"):
        weights.catalogue(str(path))


def test_fetched_weights_are_found_with_the_commit_they_came_from(fetched):
    folder, models, catalogue = fetched
    assert weights.installed("m", models, catalogue)
    found = weights.locate("m", models, catalogue)
    assert (found.folder, found.revision) == (str(folder), "abc123")


def test_missing_weights_name_the_command_that_fetches_them(tmp_path):
    assert not weights.installed("m", str(tmp_path), listed(m=ENTRY))
    with pytest.raises(WeightsMissing) as missing:
        weights.locate("m", str(tmp_path), listed(m=ENTRY))
    assert "multiplane models fetch m" in missing.value.info().hint


def test_a_fetch_that_was_interrupted_is_not_installed(fetched):
    folder, models, catalogue = fetched
    (folder / weights.RECORD).unlink()
    assert not weights.installed("m", models, catalogue)
    with pytest.raises(WeightsMissing):
        weights.locate("m", models, catalogue)


def test_an_unlisted_name_is_said_to_be_unknown(tmp_path):
    for ask in (weights.installed, weights.locate, weights.folder):
        with pytest.raises(WeightsMissing, match="No model is called x"):
            ask("x", str(tmp_path), listed(m=ENTRY))


@pytest.mark.parametrize("harm", ["changed", "shortened", "missing", "planted", "record"])
def test_anything_but_what_was_fetched_is_corrupt(fetched, harm):
    folder, models, catalogue = fetched
    match harm:
        case "changed":
            (folder / "model.safetensors").write_bytes(b"numberz")
        case "shortened":
            (folder / "model.safetensors").write_bytes(b"num")
        case "missing":
            (folder / "sub" / "config.json").unlink()
        case "planted":
            (folder / "sub" / "adapter_config.json").write_text("{}")
        case "record":
            (folder / weights.RECORD).write_text("{")
    assert weights.installed("m", models, catalogue)  # so that nothing weaker takes its place in silence
    with pytest.raises(WeightsCorrupt) as refused:
        weights.locate("m", models, catalogue)
    assert (
        unmarked(refused.value.info().hint) == "Fetch the model again (`multiplane models fetch m`), then: `multiplane retry ID`."
    )


def test_no_hint_about_weights_has_a_gap_to_fill_in():
    for kind in (WeightsMissing, WeightsCorrupt, LicenceNotAccepted):
        assert "NAME" not in kind.hint


def test_what_a_file_browser_leaves_behind_does_no_harm(fetched):
    folder, models, catalogue = fetched
    (folder / ".DS_Store").write_bytes(b"x")
    assert weights.locate("m", models, catalogue).revision == "abc123"


def test_a_folder_of_ones_own_is_named_by_its_hash(tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    (own / "model.safetensors").write_bytes(b"abc")
    path = tmp_path / "models.yaml"
    entry = {"use": "depth", "path": "own", "licence": "mine", "commercial": True, "polarity": "distance", "scale": "metric"}
    path.write_text(json.dumps({"default_depth": "m", "models": {"m": entry}}))
    catalogue = weights.catalogue(str(path))
    assert weights.installed("m", "/nowhere", catalogue)
    found = weights.locate("m", "/nowhere", catalogue)
    assert found.folder == str(own)
    assert found.revision == "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    weights.record("m", str(own), catalogue.models["m"], "mine-1")
    assert weights.locate("m", "/nowhere", catalogue).revision == "mine-1"
    os.remove(own / weights.RECORD)
    os.remove(own / "model.safetensors")
    assert not weights.installed("m", "/nowhere", catalogue)


def test_a_folder_without_safetensors_is_refused(tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    (own / "pytorch_model.bin").write_bytes(b"pickle")
    entry = {"use": "depth", "path": str(own), "licence": "mine", "commercial": True, "polarity": "distance", "scale": "metric"}
    with pytest.raises(WeightsCorrupt, match="safetensors"):
        weights.locate("m", "/nowhere", listed(m=entry))


def pinned(commit="c" * 40, sizes=None, sha256=None):
    return listed(m=ENTRY | {"revision": commit, "sizes": sizes or {}, "sha256": sha256 or {}})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"commit": "d" * 40}, f"they are from commit cccccccccccc, not {'d' * 40}"),
        ({"sizes": {"model.safetensors": 8}}, "model.safetensors has 7 bytes, not 8"),
        ({"sha256": {"model.safetensors": "0" * 64}}, "model.safetensors has that size but different content"),
    ],
)
def test_what_was_recorded_must_also_be_what_is_listed(fetched, change, said):
    """Files and their record can be replaced together; the list of models still detects it."""
    folder, models, catalogue = fetched
    weights.record("m", str(folder), catalogue.models["m"], "c" * 40)
    assert weights.locate("m", models, pinned()).revision == "c" * 40
    with pytest.raises(WeightsCorrupt) as refused:
        weights.locate("m", models, pinned(**change))
    assert refused.value.message == f"The weights of m are not those of the list of models: {said}."


def test_a_file_that_is_not_listed_is_refused_even_if_it_is_recorded(fetched):
    folder, models, catalogue = fetched
    (folder / "modeling.py").write_text("print('ours now')")
    weights.record("m", str(folder), catalogue.models["m"], "abc123")
    with pytest.raises(WeightsCorrupt, match=r"list of models: modeling\.py is among them"):
        weights.locate("m", models, catalogue)


@pytest.mark.parametrize("harm", ["same size and times", "a link", "a linked folder", "a pickle", "a program"])
def test_tampering_after_a_fetch_is_found_although_hashes_are_remembered(fetched, tmp_path, harm):
    folder, models, catalogue = fetched
    remember(models, catalogue)
    file = folder / "model.safetensors"
    match harm:
        case "same size and times":
            at = file.stat()
            file.write_bytes(b"numberz")
            os.utime(file, ns=(at.st_atime_ns, at.st_mtime_ns))
            said = "model.safetensors is not what was recorded when it was fetched"
        case "a link":
            file.rename(tmp_path / "elsewhere")
            file.symlink_to(tmp_path / "elsewhere")
            said = "holds model.safetensors, which is a link or not a plain file"
        case "a linked folder":
            (folder / "sub").rename(tmp_path / "elsewhere")
            (folder / "sub").symlink_to(tmp_path / "elsewhere")
            said = "holds sub, which is a link or not a plain file"
        case "a pickle":
            (folder / "pytorch_model.bin").write_bytes(b"pickle")
            said = "holds pytorch_model.bin, which was not fetched with it"
        case "a program":
            (folder / "modeling.py").write_bytes(b"print()")
            said = "holds modeling.py, which was not fetched with it"
    with pytest.raises(WeightsCorrupt, match=said):
        weights.locate("m", models, catalogue)


def remember(models, catalogue):
    """Store the hashes as `models verify` does."""
    cache = HashCache(models, recompute=True)
    weights.locate("m", models, catalogue, cache)
    cache.save()


def test_remembered_files_are_not_read_again_until_they_change(fetched, monkeypatch):
    folder, models, catalogue = fetched
    hashed = []
    digest = hashlib.file_digest
    monkeypatch.setattr(
        hashlib, "file_digest", lambda file, kind: hashed.append(os.path.basename(file.name)) or digest(file, kind)
    )
    weights.locate("m", models, catalogue)
    assert sorted(hashed) == ["config.json", "model.safetensors"]
    remember(models, catalogue)
    hashed.clear()
    weights.locate("m", models, catalogue)
    assert hashed == []
    os.utime(folder / "model.safetensors")
    weights.locate("m", models, catalogue)
    assert hashed == ["model.safetensors"]


@pytest.mark.parametrize("harm", ["writable for others", "a link", "no JSON"])
def test_hashes_that_others_may_have_written_do_not_count(fetched, tmp_path, harm):
    """What a forger would write: the expected hash, stored for the state of the forger's own file."""
    folder, models, catalogue = fetched
    remember(models, catalogue)
    memory = tmp_path / "models" / CACHE
    known = json.loads(memory.read_text())
    (folder / "model.safetensors").write_bytes(b"numberz")
    at = (folder / "model.safetensors").stat()
    expected = json.loads((folder / weights.RECORD).read_text())["files"]["model.safetensors"]["sha256"]
    state = f"{at.st_dev} {at.st_ino} {at.st_size} {at.st_mtime_ns} {at.st_ctime_ns}"
    memory.write_text(json.dumps(known | {state: expected}))
    assert weights.locate("m", models, catalogue).revision == "abc123", "a forger in this very account is believed"
    match harm:
        case "writable for others":
            memory.chmod(0o666)
        case "a link":
            memory.rename(tmp_path / "elsewhere")
            memory.symlink_to(tmp_path / "elsewhere")
        case "no JSON":
            memory.write_text("[")
    with pytest.raises(WeightsCorrupt, match=r"model\.safetensors is not what was recorded"):
        weights.locate("m", models, catalogue)
