"""Weights are used only when they are listed, there, complete, and what was recorded when they were fetched."""

import json
import os

import pytest

from daemon.errors import Internal, LicenceNotAccepted, WeightsCorrupt, WeightsMissing
from pipeline import weights

ENTRY = {
    "use": "depth", "repo": "some/model", "revision": "main", "licence": "MIT", "commercial": True, "bytes": 10,
    "files": ["config.json", "model.safetensors"], "polarity": "disparity", "scale": "relative",
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
    assert polarity["glpn-nyu"] == polarity["zoedepth-nyu-kitti"] == "distance"


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
    assert refused.value.info().hint == "Fetch the model again (multiplane models fetch m), then: multiplane retry ID."


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
