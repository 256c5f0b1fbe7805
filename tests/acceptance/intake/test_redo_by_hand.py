"""Another result of a picture: with the verb, and by dragging a job's folder into a folder with a preset."""

import hashlib
import json
import shutil
from pathlib import Path

from tests.acceptance.home import HotFolder, picture, until

PRESET = "in 3 layers"


def contents(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir() if path.is_file()}


def jobs(home: HotFolder) -> list[dict]:
    """The statuses of all ended jobs, oldest first."""
    found = [json.loads(path.read_text()) for path in home.outbox.glob("*/status.json")]
    return sorted((job for job in found if job["completed_at"]), key=lambda job: job["completed_at"])


def test_a_photographer_redoes_a_picture_by_verb_and_by_hand_and_loses_nothing(folder: HotFolder) -> None:
    home = folder
    (home.inbox / PRESET / "two").mkdir(parents=True)
    (home.inbox / PRESET / "_preset.yaml").write_text("num_layers: 3\nformats: []\ndepth: cues\n")
    home.start()
    # A plain folder of pictures, without any YAML file.
    for number in range(2):
        (home.inbox / PRESET / "two" / f"p{number}.png").write_bytes(picture(seed=number))
    first, second = until(lambda: len(found := jobs(home)) == 2 and found)
    assert {job["batch_name"] for job in (first, second)} == {"two"}
    assert {job["spec"]["num_layers"] for job in (first, second)} == {3}
    source = home.outbox / first["job_id"] / "source"
    before = contents(source)
    # By the verb, six layers.
    assert "is redone as" in home.verb("redo", first["job_id"], "--num-layers", "6").stderr
    new = until(lambda: next((job for job in jobs(home) if job["redo_of"]), None))
    assert (new["redo_of"], new["state"], new["spec"]["num_layers"]) == (first["job_id"], "completed", 6)
    assert len(list((home.outbox / new["job_id"] / "result").glob("Layer_*.png"))) == 6
    assert contents(source) == before
    assert home.verb("rm", new["job_id"]).returncode == 0
    assert contents(source) == before
    # By hand: one folder is moved out of the outbox, one is copied.
    result = contents(home.outbox / first["job_id"] / "result")
    (home.outbox / first["job_id"]).rename(home.inbox / PRESET / first["job_id"])
    shutil.copytree(home.outbox / second["job_id"], home.inbox / PRESET / second["job_id"])
    again = until(
        lambda: len(found := [job for job in jobs(home) if (home.outbox / job["job_id"] / "earlier").is_dir()]) == 2 and found
    )
    assert {job["source"]["image"] for job in again} == {"p0.png", "p1.png"}
    moved = next(job for job in again if job["source"]["image"] == first["source"]["image"])
    kept = home.outbox / moved["job_id"]
    assert contents(kept / "source")[first["source"]["image"]] == before[first["source"]["image"]]
    assert contents(kept / "earlier" / "result") == result
    assert (home.outbox / second["job_id"] / "result").is_dir(), "the copied job stays"
    assert {path.name for path in (home.inbox / PRESET).iterdir()} <= {"_preset.yaml", "two"}
