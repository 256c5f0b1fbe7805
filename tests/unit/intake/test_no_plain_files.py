"""Whatever lies in the inbox and is not taken has one sentence that says what it is and what to do."""

from typing import get_args

import pytest

from daemon.intake.kinds.refused import HARD_LINK, REFUSED
from daemon.intake.kinds.unread import reason
from daemon.intake.model import Kind

#: A remedy tells a person to do something.
VERBS = ("put ", "remove ", "choose ", "check ", "drop ", "save ", "export ", "take ", "rename ")


def test_every_kind_that_is_no_file_has_a_remedy() -> None:
    assert set(REFUSED) == set(get_args(Kind)) - {"file", "directory"}
    for said in (*REFUSED.values(), HARD_LINK):
        what, _, remedy = said.rpartition(": ")
        assert what
        assert remedy.startswith(VERBS)


@pytest.mark.parametrize("ending", ["zip", "pdf", "mp4", "lnk", "webloc", "svg", "heics", "txt", "exe", "docx", "mp3", "ai"])
def test_every_file_that_is_no_picture_has_a_remedy(ending: str) -> None:
    assert any(verb in reason(f"photo.{ending}").partition(": ")[2] for verb in VERBS)
