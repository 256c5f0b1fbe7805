"""The model for bare photos: one folder for all homes, whether or not that folder can be made."""

from tests.acceptance.home import HotFolder, picture


def test_a_models_folder_that_cannot_be_made_stops_no_job(folder: HotFolder, tmp_path) -> None:
    (tmp_path / "file").touch()
    folder.settings["MULTIPLANE_FOLDERS__MODELS"] = str(tmp_path / "file" / "models")
    folder.drop("photo.png", picture())
    done = folder.run("run", "--once")
    assert done.returncode == 0, done.stderr
    assert folder.ended("photo.png")["state"] == "completed"
    assert "the folder for models" in done.stderr
