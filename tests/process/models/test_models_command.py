"""The models command: what it lists, checks and removes, and which licences it asks for."""

import json
import os
import subprocess
import sys

import pytest

from daemon.contract.commands import unmarked
from daemon.errors import LicenceNotAccepted, Refusal, WeightsCorrupt, WeightsMissing
from pipeline import weights
from pipeline.weights import command, licences, store

HUB = {
    "use": "depth", "repo": "some/model", "revision": "c" * 40, "licence": "MIT", "commercial": True, "bytes": 12_000_000,
    "files": ["config.json", "model.safetensors"], "polarity": "disparity", "scale": "relative",
}  # fmt: skip
LIMITED = HUB | {"licence": "CC-BY-NC-4.0", "commercial": False}
OWN = {"use": "depth", "licence": "mine", "commercial": True, "path": "own", "polarity": "distance", "scale": "metric"}
NOW = "2026-01-02T03:04:05Z"


class Place:
    """A models folder, and a list of models next to it."""

    def __init__(self, folder):
        self.folder, self.models, self.path = folder, folder / "models", folder / "models.yaml"
        self.path.write_text(json.dumps({"default_depth": "free", "models": {"free": HUB, "limited": LIMITED, "mine": OWN}}))
        self.listed = weights.catalogue(str(self.path))

    def install(self, name, revision="c" * 40):
        folder = self.models / name
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(bytes(1000))
        (folder / "config.json").write_text("{}")
        weights.record(name, str(folder), self.listed.models[name], revision)
        return folder

    def give_own(self):
        (self.folder / "own").mkdir()
        (self.folder / "own" / "model.safetensors").write_bytes(b"x")
        return self.folder / "own"

    def run(self, *arguments):
        return command.main([*arguments, "--folder", str(self.models), "--catalogue", str(self.path)])

    def state(self, name):
        return store.state(name, str(self.models), self.listed)


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("COLUMNS", "80")
    return Place(tmp_path)


def test_every_state_of_a_model_is_told_apart(place):
    assert place.state("free") == "not installed"
    (place.models / ".fetch-free").mkdir(parents=True)
    assert place.state("free") == "partly fetched"
    folder = place.install("free")
    assert place.state("free") == "installed"
    (folder / "model.safetensors").write_bytes(bytes(999))
    assert place.state("free") == "damaged"
    (folder / weights.RECORD).write_text("{")
    assert place.state("free") == "damaged"
    place.install("limited", revision="d" * 40)
    assert place.state("limited") == "other revision"
    assert place.state("mine") == "folder missing"
    place.give_own()
    assert place.state("mine") == "own folder"


def test_the_list_fits_a_terminal_and_names_size_licence_and_state(place, capsys):
    place.install("free")
    assert place.run("list") == 0
    said = capsys.readouterr().out
    assert all(len(line) <= 80 for line in said.splitlines() if str(place.models) not in line)
    row = next(line for line in said.splitlines() if "free*" in line)
    assert "12 MB" in row
    assert "MIT" in row
    assert "installed" in row
    assert "CC-BY-NC-4.0¹" in said
    assert "multiplane models fetch NAME" in said


def test_the_shipped_list_fits_a_terminal(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert command.main(["list", "--folder", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    for name in weights.catalogue().models:
        assert any(line.startswith(f"  {name}") for line in said.splitlines()), name


def test_the_list_for_programs_is_one_json_document(place, capsys):
    place.install("limited")
    assert place.run("list", "--json") == 0
    shown = {each["name"]: each for each in json.loads(capsys.readouterr().out)}
    assert list(shown) == ["free", "limited", "mine"]
    assert shown["limited"]["state"] == "installed"
    assert shown["limited"]["installed_revision"] == "c" * 40
    assert shown["limited"]["licence_accepted"] is False
    assert shown["free"]["default"] is True
    assert shown["mine"]["folder"] == str(place.folder / "own")


def test_one_flipped_bit_is_found_and_the_rest_still_checked(place, capsys):
    folder = place.install("free")
    place.give_own()
    place.install("limited")
    assert place.run("verify") == 0
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()] == [
        ["ok", each] for each in ("free", "limited", "mine")
    ]
    data = bytearray((folder / "model.safetensors").read_bytes())
    data[500] ^= 1
    (folder / "model.safetensors").write_bytes(data)
    assert place.run("verify") == WeightsCorrupt.exit_status
    said = capsys.readouterr()
    assert "not ok  free  The weights of free are damaged: model.safetensors" in said.out
    assert "ok      limited" in said.out
    assert "multiplane models fetch free" in said.err
    assert place.run("verify", "limited") == 0
    assert place.run("verify", "free", "--json") == WeightsCorrupt.exit_status


def test_verify_of_what_is_not_installed_is_an_error_only_if_it_was_named(place):
    place.give_own()
    assert place.run("verify", "free") == WeightsMissing.exit_status
    assert place.run("verify") == 0


def test_a_folder_of_ones_own_that_is_gone_is_told(place, capsys):
    assert place.run("verify") == WeightsMissing.exit_status
    assert f"The folder of mine ({place.folder / 'own'}) does not exist." in capsys.readouterr().out


def test_a_folder_of_ones_own_is_checked_against_its_record_if_it_has_one(place, capsys):
    own = place.give_own()
    assert place.run("verify", "mine") == 0
    assert "own folder without a record" in capsys.readouterr().out
    weights.record("mine", str(own), place.listed.models["mine"], "mine-1")
    (own / "model.safetensors").write_bytes(b"y")
    assert place.run("verify", "mine") == WeightsCorrupt.exit_status


def test_remove_takes_the_model_and_what_was_partly_fetched_and_nothing_else(place, capsys):
    place.install("free")
    place.install("limited")
    (place.models / ".fetch-free").mkdir()
    (place.models / ".fetch-free" / ".x.part").write_bytes(bytes(2_000_000))
    assert place.run("remove", "free") == 0
    assert "2.0 MB freed" in capsys.readouterr().out
    assert sorted(os.listdir(place.models)) == ["limited"]
    assert place.run("remove", "free") == WeightsMissing.exit_status


def test_remove_of_a_link_leaves_what_it_points_to(place):
    elsewhere = place.install("free").rename(place.folder / "elsewhere")
    (place.models / "free").symlink_to(elsewhere)
    assert place.run("remove", "free") == 0
    assert not os.path.lexists(place.models / "free")
    assert (elsewhere / "model.safetensors").exists()


def test_a_folder_of_ones_own_is_never_removed_or_fetched(place, capsys):
    own = place.give_own()
    with pytest.raises(Refusal, match="folder of your own"):
        store.remove("mine", str(place.models), place.listed)
    assert place.run("remove", "mine") != 0
    assert place.run("fetch", "mine") != 0
    assert (own / "model.safetensors").read_bytes() == b"x"
    assert "folder of your own" in capsys.readouterr().err


def test_an_unknown_name_is_told_with_the_way_to_the_names(place, capsys):
    for verb in ("fetch", "verify", "remove"):
        assert place.run(verb, "nothing") == WeightsMissing.exit_status
        said = capsys.readouterr().err
        assert "No model is called nothing." in said
        assert "multiplane models list" in said


def test_a_licence_without_commercial_use_is_accepted_once_by_name(place):
    models, limited = str(place.models), place.listed.models["limited"]
    with pytest.raises(LicenceNotAccepted) as excinfo:
        licences.accept("limited", limited, models, None, now=NOW)
    assert unmarked(excinfo.value.own_hint).endswith("`multiplane models fetch limited --accept-licence CC-BY-NC-4.0`")
    with pytest.raises(LicenceNotAccepted, match="not MIT"):
        licences.accept("limited", limited, models, "MIT", now=NOW)
    assert licences.needed(limited, models)
    licences.accept("limited", limited, models, "cc-by-nc-4.0", now=NOW)
    assert licences.accepted(models) == {"CC-BY-NC-4.0": NOW}
    licences.accept("limited", limited, models, None, now="later")
    assert licences.accepted(models) == {"CC-BY-NC-4.0": NOW}


def test_a_free_licence_is_not_asked_for(place):
    licences.accept("free", place.listed.models["free"], str(place.models), None, now=NOW)
    assert not place.models.exists()


def test_without_acceptance_nothing_is_fetched_and_nothing_made(place, capsys):
    assert place.run("fetch", "limited") == LicenceNotAccepted.exit_status
    said = capsys.readouterr().err
    assert "multiplane models fetch limited --accept-licence CC-BY-NC-4.0" in said
    assert not place.models.exists()


def test_an_unreadable_list_of_accepted_licences_is_no_acceptance(place):
    place.models.mkdir()
    (place.models / licences.ACCEPTED).write_text("[")
    with pytest.raises(WeightsCorrupt, match="cannot be read"):
        licences.needed(place.listed.models["limited"], str(place.models))


def test_what_opens_connections_is_not_even_imported_by_the_list(place):
    asked = (
        "import sys; from pipeline.weights import command; "
        f"command.main(['list', '--folder', {str(place.models)!r}, '--catalogue', {str(place.path)!r}]); "
        "print(sorted({'huggingface_hub', 'httpx2', 'torch', 'transformers', 'numpy'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", asked], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_folder_that_cannot_be_written_is_told_in_a_sentence(place, capsys):
    place.models.write_text("a file where the folder should be")
    assert place.run("fetch", "limited", "--accept-licence", "CC-BY-NC-4.0") == 74
    assert str(place.models) in capsys.readouterr().err


def test_everything_but_fetch_switches_the_hub_off(place):
    place.run("list")
    assert os.environ["HF_HUB_OFFLINE"] == "1"


def test_a_pin_of_a_file_that_is_not_fetched_is_refused(tmp_path):
    path = tmp_path / "models.yaml"
    path.write_text(json.dumps({"default_depth": "m", "models": {"m": HUB | {"sha256": {"other.json": "0" * 64}}}}))
    with pytest.raises(Exception, match="not among the files"):
        weights.catalogue(str(path))
