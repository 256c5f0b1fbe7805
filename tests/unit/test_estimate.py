"""The remaining time of a job: learned from the jobs before it, corrected by its own progress."""

import random

import pytest

from daemon.contract.records import Accepted, ClaimedFile, Job, Publishing
from daemon.contract.spec import JobSpec
from daemon.contract.status import Source
from daemon.jobs.estimate import Estimator, kind_of


def job(name="job", *, size=1_000_000, image="photo.jpg", seconds=None, depth_picture=False, **wishes) -> Job:
    """A job of a picture of so many bytes; with `seconds`, one that was completed in that time."""
    files = [ClaimedFile(role="image", name=image, to=image, ino=1, size=size, mtime_ns=0)]
    if depth_picture:
        files.append(ClaimedFile(role="depth", name="photo.depth.png", to="photo.depth.png", ino=2, size=1, mtime_ns=0))
    spec = JobSpec(**wishes)
    published = None
    if seconds is not None:
        source = Source(image=image, bytes=size)
        published = Publishing(job=name, attempt="a", source=source, outputs=(), manifest="m", processing_seconds=seconds)
    accepted = Accepted(job=name, files=tuple(files), spec=spec)
    return Job(
        job_id=name,
        accepted=accepted,
        sequence=1,
        created_at="",
        spec=spec,
        mode=spec.mode,
        refusal=None,
        published=published,
    )


def test_nothing_is_said_where_nothing_is_known():
    estimator = Estimator()
    assert estimator.remaining("job", 0.0) is None
    estimator.begin(job(), 0.0)
    assert estimator.remaining("job", 1.0) is None
    estimator.moved("job", 0.001, 1.0)
    assert estimator.remaining("job", 1.0) is None


def test_a_job_like_those_before_takes_as_long_as_they():
    estimator = Estimator()
    for _ in range(10):
        estimator.learn(job(seconds=8.0))
    estimator.begin(job(), 100.0)
    assert estimator.remaining("job", 100.0) == pytest.approx(8.0, rel=0.01)
    assert estimator.remaining("job", 105.0) == pytest.approx(3.0, rel=0.01)


@pytest.mark.parametrize(
    "other",
    [
        {"mode": "painterly"},
        {"depth": "model"},
        {"depth_picture": True},
        {"formats": []},
        {"image": "photo.png"},
    ],
)
def test_a_job_of_another_kind_teaches_nothing(other):
    estimator = Estimator()
    estimator.learn(job(seconds=8.0, **other))
    assert kind_of(job(**other)) != kind_of(job())
    estimator.begin(job(), 0.0)
    assert estimator.remaining("job", 0.0) is None


def test_larger_pictures_and_more_layers_take_longer():
    estimator = Estimator()
    estimator.learn(job(seconds=4.0))
    for name, wish in {"same": {}, "large": {"size": 4_000_000}, "many": {"num_layers": 8}}.items():
        estimator.begin(job(name, **wish), 0.0)
    same, large, many = (estimator.remaining(name, 0.0) for name in ("same", "large", "many"))
    assert same == pytest.approx(4.0)
    assert 2 * same < large < 4 * same
    assert same < many < 2 * same


def test_jobs_of_the_same_size_count_more_than_others():
    estimator = Estimator()
    for _ in range(5):
        estimator.learn(job(seconds=3.0))
        estimator.learn(job(size=20_000_000, seconds=90.0))
    estimator.begin(job(), 0.0)
    assert estimator.remaining("job", 0.0) == pytest.approx(3.0, rel=0.1)


def test_the_jobs_own_progress_outweighs_history_towards_the_end():
    estimator = Estimator()
    for _ in range(10):
        estimator.learn(job(seconds=10.0))
    estimator.begin(job(), 0.0)
    estimator.moved("job", 0.0, 0.0)
    estimator.moved("job", 0.8, 40.0)
    assert estimator.remaining("job", 40.0) == pytest.approx(10.0, rel=0.25)


def test_the_loading_of_libraries_is_not_the_jobs_time():
    estimator = Estimator()
    estimator.learn(job(seconds=10.0))
    estimator.begin(job(), 0.0)
    estimator.moved("job", 0.0, 7.0)
    assert estimator.remaining("job", 7.0) == pytest.approx(10.0)


def test_shares_that_mislead_are_bent_by_how_they_went_before():
    """A worker that is said to be half done after a tenth of its time."""

    def run(name, began):
        estimator.begin(job(name), began)
        estimator.moved(name, 0.0, began)
        for second in range(1, 20):
            fraction = min(0.5, second / 4) if second <= 2 else 0.5 + (second - 2) / 36
            estimator.moved(name, fraction, began + second)
            yield second
        estimator.end(name, began + 20, completed=True)

    estimator = Estimator()
    first = [estimator.remaining("first", second) for second in run("first", 0)]
    list(run("second", 100))
    third = [estimator.remaining("third", 200 + second) for second in run("third", 200)]
    wrong = [abs(left - (20 - second)) for second, left in enumerate(first, 1)]
    right = [abs(left - (20 - second)) for second, left in enumerate(third, 1)]
    assert wrong[4] > 5
    assert max(right[2:]) < 2


def test_a_job_that_takes_longer_than_thought_is_never_said_to_be_done():
    estimator = Estimator()
    estimator.learn(job(seconds=2.0))
    estimator.begin(job(), 0.0)
    estimator.moved("job", 0.0, 0.0)
    estimator.moved("job", 0.3, 1.0)
    assert all(estimator.remaining("job", now) > 0 for now in (1.0, 10.0, 100.0))


def test_a_failed_job_and_a_job_that_ended_are_forgotten():
    estimator = Estimator()
    estimator.learn(job())
    estimator.begin(job(), 0.0)
    estimator.moved("job", 0.0, 0.0)
    estimator.moved("job", 0.9, 1.0)
    estimator.moved("job", 0.95, 2.0)
    estimator.end("job", 3.0, completed=False)
    assert estimator.remaining("job", 3.0) is None
    estimator.moved("job", 0.99, 4.0)
    assert not estimator._curves
    assert not estimator._samples


def test_thirty_mixed_jobs_are_foretold_within_a_quarter_after_their_first_third():
    """A machine whose times vary by a fifth, and whose stages do not take the shares that are reported."""
    rng = random.Random(7)
    estimator = Estimator()
    errors = []
    for number in range(30):
        size, layers = int(10 ** rng.uniform(5.3, 6.9)), rng.randint(2, 8)
        total = (0.3 + size / 1e6) * (0.5 + layers / 8) * rng.uniform(0.8, 1.2) * 3
        name = str(number)
        estimator.begin(job(name, size=size, num_layers=layers), 0.0)
        estimator.moved(name, 0.0, 0.0)
        asked = []
        for step in range(1, 40):
            share = step / 40
            estimator.moved(name, share**1.4, share * total)
            if share > 1 / 3:
                asked.append((estimator.remaining(name, share * total), (1 - share) * total))
        estimator.end(name, total, completed=True)
        estimator.learn(job(name, size=size, num_layers=layers, seconds=total))
        errors.append(abs(asked[0][0] - asked[0][1]) / asked[0][1])
    assert sorted(errors)[len(errors) // 2] <= 0.25
