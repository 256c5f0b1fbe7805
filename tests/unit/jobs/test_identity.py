"""The name of a job's folder, as a person finds it in the outbox."""

import re
from datetime import UTC, datetime

import pytest

from daemon.contract.spec import JOB_ID_PATTERN
from daemon.jobs.identity import generated_id, slug


@pytest.mark.parametrize(
    ("name", "spelled"),
    [
        ("IMG_0042.JPG", "img-0042"),
        ("Straße.jpg", "strasse"),
        ("Ægir på Ærø.jpg", "aegir-pa-aero"),
        ("Łódź – øst.jpg", "lodz-ost"),
        ("Đorđe & Þór.jpg", "dorde-thor"),
        ("cafe\N{COMBINING ACUTE ACCENT}.jpg", "cafe"),
        ("Москва 2026.jpg", "moskva-2026"),
        ("Київ, щастя.jpg", "kiiv-shchastya"),
        ("Αθήνα.jpg", "athina"),
        ("中景 3.jpg", "3"),
        ("中景.jpg", "picture"),
    ],
)
def test_a_job_is_named_after_its_photo_in_letters_that_every_disk_and_shell_takes(name, spelled):
    assert slug(name.encode()) == spelled
    assert re.fullmatch(JOB_ID_PATTERN, generated_id(name.encode(), datetime(2026, 1, 31, tzinfo=UTC)))
