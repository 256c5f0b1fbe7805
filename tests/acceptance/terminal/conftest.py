"""A hub on this machine, and somebody who is new and has no model yet."""

import hashlib
import json
from collections.abc import Iterator

import pytest

from tests.acceptance.home import HotFolder
from tests.acceptance.terminal.newcomer import COMMIT, NAME, REPO, SHIPPED
from tests.process.models.hub import Hub


@pytest.fixture
def hub(tiny_depth: dict[str, bytes]) -> Iterator[Hub]:
    """A hub that has the model at the listed commit."""
    with Hub({REPO: dict(tiny_depth)}, commit=COMMIT) as served:
        yield served


@pytest.fixture
def newcomer(folder: HotFolder, hub: Hub, tiny_depth: dict[str, bytes], tmp_path, monkeypatch) -> HotFolder:
    """A home without any model; its user has one models folder for all homes."""
    for name in ("MULTIPLANE_FOLDERS__MODELS", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_TOKEN", "XDG_DATA_HOME", "HF_HOME"):
        monkeypatch.delenv(name, raising=False)
    entry = SHIPPED.model_dump(exclude_none=True) | {
        "bytes": sum(map(len, tiny_depth.values())),
        "sizes": {name: len(data) for name, data in tiny_depth.items()},
        "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in tiny_depth.items()},
    }
    listed = tmp_path / "models.yaml"
    listed.write_text(json.dumps({"default_depth": NAME, "models": {NAME: entry}}))
    folder.settings |= {
        "HOME": str(tmp_path / "user"), "HF_ENDPOINT": hub.address, "NO_PROXY": "127.0.0.1,localhost",
        "MULTIPLANE_FOLDERS__CATALOGUE": str(listed), "MULTIPLANE_WORKER__SPARE": "false",
    }  # fmt: skip
    return folder
