"""What holds for all tests: generated examples are the same at every run, and no clock judges them.

`make soak` looks further, with examples of its own at every run.
"""

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("searching", deadline=None)
settings.load_profile("searching" if os.environ.get("MULTIPLANE_SOAK") else "repeatable")


@pytest.fixture(scope="session")
def tiny_diffusion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved Stable Diffusion 1.5 as small as it gets; whoever changes it changes a copy."""
    import torch

    from tests import diffusion_models

    torch.set_num_threads(1)  # in networks of this size threads wait for each other: two take ten times one's processor time
    return diffusion_models.save_pipeline(tmp_path_factory.mktemp("diffusion") / "tiny")
