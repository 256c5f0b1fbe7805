"""What holds for all tests: generated examples are the same at every run, and no clock judges them.

`make soak` looks further, with examples of its own at every run.
"""

import os

from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("searching", deadline=None)
settings.load_profile("searching" if os.environ.get("MULTIPLANE_SOAK") else "repeatable")
