"""How long a running job will still take, learned stage by stage from the jobs before it. Pure: the time is always given.

A job that was completed leaves a timeline: when each of its stages began, which the journal keeps, and, if it was watched, also
when each share of progress was reported. The place that a running job has reached is looked up on the timeline of each earlier
job of its kind: that tells how much was behind that job there, and how much was still to come. So the shares that a worker
reports are milestones and nothing else; what they say of time is not believed where there is any timeline.

How much slower the running job is than the earlier one, its pace, is known from two sources: what size and layers cost, and how
long it took to where it is. At the beginning the first says more, later the second: their logarithms are averaged, each
weighted by the inverse of its variance. A step that takes longer than it should counts in the same way: by how much of the job
it is. Each timeline gives one answer, and the weighted median of all is told: a job that was held up by other work on the
machine says nothing about the next.

Where nothing is known, nothing is told: early in a job of a new kind, and when a job has not moved for far too long.
"""

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from daemon.contract.records import Job

#: Jobs remembered for each kind: enough for several sizes, and an installed model or a new machine is soon all there is.
_MEMORY = 60
#: How the time grows with the bytes of the file and with the layers, as powers: fitted on recorded jobs of 0.3 to 12 megapixels
#: and 2 to 6 layers, where a part of the work is the same for all. So are the numbers below.
_BY_BYTES, _BY_LAYERS = 0.6, 0.6
#: How far, in natural logarithms, a job of another size or another number of layers counts 1/e of one alike.
_NEAR_BYTES, _NEAR_LAYERS = 0.5, 0.3
#: How much less each older job counts.
_FADING = 0.96
#: How much a job counts of which the journal alone tells: its stages are known, not what was between them.
_UNWATCHED = 0.5
#: How far off, in natural logarithms, is the pace that size and layers foretell: of jobs alike, and for each unit they are apart.
_SPREAD_TOLD, _SPREAD_APART = 0.4, 0.2
#: How far off is the pace seen so far, where half of the job is done.
_SPREAD_SEEN = 0.25
#: Of a kind that was never completed, what size costs is not known: nothing is said before so much of a job is behind it.
_LEAST_SEEN = 0.2
#: A step that takes longer than was thought by so many seconds, and by so much of the whole job, may as well never end.
_PATIENCE_SECONDS, _PATIENCE_SHARE = 5.0, 0.5
#: A job that takes longer than was thought is never said to be done: of what it took already, so much is left.
_LEAST_LEFT = 0.1

#: What makes jobs comparable: mode and style, where depth comes from, the formats that are made, the picture's type.
Kind = tuple[str | None, str | None, str, frozenset[str], str]
#: (share reported, seconds since the start), rising.
Track = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Timeline:
    """A job that was completed.

    Attributes:
        size: bytes of the picture's file.
        layers: how many were asked for.
        seconds: of the worker's time.
        begins: seconds from the start to the beginning of each stage, in their order.
        track: what was reported, from (0, 0) to (1, `seconds`); empty if only the journal tells of the job.
    """

    size: int
    layers: int
    seconds: float
    begins: Mapping[str, float]
    track: Track = ()


@dataclass(slots=True)
class Run:
    """A job that is running.

    Attributes:
        kind: of the job.
        size: bytes of the picture's file.
        layers: how many were asked for.
        began: when it did.
        limit: seconds after which it is stopped.
        begins: seconds from the start to the first report from each stage, in their order.
        track: the shares reported, and when.
    """

    kind: Kind
    size: int
    layers: int
    began: float
    limit: float = math.inf
    begins: dict[str, float] = field(default_factory=dict)
    track: list[tuple[float, float]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a running job is on a timeline.

    Attributes:
        at: seconds into the running job at its last milestone.
        behind: seconds into the timeline at that milestone.
        following: the same at the next milestone.
    """

    at: float
    behind: float
    following: float


#: A job of which only the shares are known that the worker reports: all that there is for the first job of its like.
_SHARES_ALONE = Timeline(size=1, layers=1, seconds=1.0, begins={}, track=((0.0, 0.0), (1.0, 1.0)))


def kind_of(job: Job) -> Kind:
    """The kind of a job that has a spec."""
    spec = job.spec
    if spec is None:
        raise ValueError(f"{job.job_id} has no spec")
    given = any(file.role == "depth" for file in job.accepted.files)
    depth = "file" if given and spec.depth == "auto" else spec.depth
    style = spec.style if spec.mode == "painterly" else None
    return spec.mode, style, depth, frozenset(spec.formats), job.image.to.rpartition(".")[2].lower()


class Estimator:
    """Learns from jobs and estimates the rest of the running ones. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._timelines: dict[Kind, deque[Timeline]] = {}
        self._runs: dict[str, Run] = {}
        self._watched: dict[str, Track] = {}

    def learn(self, job: Job) -> None:
        """Remember a job that was completed, with what was seen of it while it ran; others teach nothing."""
        track = self._watched.pop(job.job_id, ())
        if job.published is None or job.spec is None or job.published.processing_seconds <= 0:
            return
        begins, now = {}, 0.0
        for stage, seconds in job.published.timings.items():
            begins[stage] = now
            now += seconds
        seconds = max(job.published.processing_seconds, now)
        track = [(share, min(at, seconds)) for share, at in track]
        timeline = Timeline(max(job.image.size, 1), job.spec.num_layers, seconds, begins, track)
        self._timelines.setdefault(kind_of(job), deque(maxlen=_MEMORY)).append(timeline)

    def begin(self, job: Job, now: float) -> None:
        """A worker got this job."""
        self._watched.pop(job.job_id, None)
        if job.spec is not None:
            limit = job.spec.timeout_seconds
            self._runs[job.job_id] = Run(kind_of(job), max(job.image.size, 1), job.spec.num_layers, now, limit)

    def moved(self, job_id: str, stage: str, share: float, now: float) -> None:
        """The worker reports that it is in this stage, and that this share, 0 to 1, of the job is done."""
        run = self._runs.get(job_id)
        if run is None:
            return
        if share <= 0.0 and not run.track:
            run.began = now  # until here a worker without a job before it was loading its libraries
        run.begins.setdefault(stage, now - run.began)
        if share > (run.track[-1][0] if run.track else 0.0):
            run.track.append((share, now - run.began))

    def end(self, job_id: str, now: float, *, completed: bool) -> None:
        """The worker is gone; of a job that was completed `learn` will tell more."""
        run = self._runs.pop(job_id, None)
        if run is not None and completed and run.track:
            self._watched[job_id] = ((0.0, 0.0), *run.track, (1.0, now - run.began))

    def remaining(self, job_id: str, now: float) -> float | None:
        """Seconds until the job is done, or stopped at its time limit; none if nothing can be said."""
        run = self._runs.get(job_id)
        if run is None:
            return None
        elapsed = now - run.began
        share = run.track[-1][0] if run.track else 0.0
        own = self._timelines.get(run.kind)
        timelines = own or self._nearest(run.kind) or (_SHARES_ALONE,)
        told = _weighted_median(
            [
                (_remaining(run, each, elapsed, sized=own is not None), _weight(run, each, age))
                for age, each in enumerate(reversed(timelines))
            ]
        )
        if math.isinf(told) or elapsed >= run.limit:
            return None
        return min(max(told, elapsed * _LEAST_LEFT * (1.0 - share)), run.limit - elapsed)

    def _nearest(self, kind: Kind) -> Sequence[Timeline]:
        """What is known of the same work on other types of picture and in other formats."""
        return [each for other, timelines in self._timelines.items() if other[:3] == kind[:3] for each in timelines]


def _apart(run: Run, timeline: Timeline) -> tuple[float, float]:
    """How much larger the running job is in bytes and in layers, in natural logarithms."""
    # The background is made like a layer more.
    return math.log(run.size / timeline.size), math.log((run.layers + 1) / (timeline.layers + 1))


def _weight(run: Run, timeline: Timeline, age: int) -> float:
    """How much the answer of a timeline counts; `age`: how many are newer."""
    by_size, by_layers = _apart(run, timeline)
    likeness = math.exp(-abs(by_size) / _NEAR_BYTES - abs(by_layers) / _NEAR_LAYERS)
    return likeness * _FADING**age * (1.0 if timeline.track else _UNWATCHED)


def _remaining(run: Run, timeline: Timeline, elapsed: float, *, sized: bool) -> float:
    """Seconds that are left of the running job, by what happened to an earlier one; infinite if that says nothing.

    `sized`: the earlier job was of the same kind, so that size and layers tell how the two compare.
    """
    place = _place(run, timeline)
    if not sized and place.behind < _LEAST_SEEN * timeline.seconds:
        return math.inf
    pace = _pace(run, timeline, place, sized=sized)
    since, step = elapsed - place.at, pace * (place.following - place.behind)
    if since - step > max(_PATIENCE_SECONDS, _PATIENCE_SHARE * pace * timeline.seconds):
        return math.inf
    # A step that takes longer than it should says that the rest will, too: the less so the smaller a part of the job it is.
    late = max(1.0, since / step) if step > 0 else 1.0
    rest = math.pow(late, _trust(run, timeline, place.following - place.behind)) * pace * (timeline.seconds - place.following)
    return max(step - since, 0.0) + rest


def _pace(run: Run, timeline: Timeline, place: _Place, *, sized: bool) -> float:
    """How many times as long as on the timeline everything takes."""
    by_size, by_layers = _apart(run, timeline)
    told = _BY_BYTES * by_size + _BY_LAYERS * by_layers
    if place.at <= 0 or place.behind <= 0:
        return math.exp(told)
    seen = math.log(place.at / place.behind)
    trust = _trust(run, timeline, place.behind) if sized else 1.0
    return math.exp(trust * seen + (1 - trust) * told)


def _trust(run: Run, timeline: Timeline, part: float) -> float:
    """How far a pace seen over so many of the timeline's seconds is believed, 0 to 1, against what size and layers tell."""
    share = part / timeline.seconds
    if not 0 < share < 1:
        return 0.0 if share <= 0 else 1.0
    by_size, by_layers = _apart(run, timeline)
    told_variance = _SPREAD_TOLD**2 + (_SPREAD_APART * (abs(by_size) + abs(by_layers))) ** 2
    # What was seen of a part says the less of the whole the smaller the part is.
    seen_variance = _SPREAD_SEEN**2 * (1 - share) / share
    return told_variance / (told_variance + seen_variance)


def _place(run: Run, timeline: Timeline) -> _Place:
    if timeline.track and run.begins:
        share, at = run.track[-1] if run.track else (0.0, 0.0)
        after = bisect_right([point[0] for point in timeline.track], share)
        if after >= len(timeline.track):
            return _Place(at, timeline.seconds, timeline.seconds)
        (share0, at0), (share1, at1) = timeline.track[after - 1], timeline.track[after]
        return _Place(at, at0 + (at1 - at0) * (share - share0) / (share1 - share0), at1)
    stage = next((name for name in reversed(run.begins) if name in timeline.begins), None)
    if stage is None:
        return _Place(0.0, 0.0, timeline.seconds)
    begins = list(timeline.begins)
    following = begins[begins.index(stage) + 1 :]
    end = timeline.begins[following[0]] if following else timeline.seconds
    return _Place(run.begins[stage], timeline.begins[stage], end)


def _weighted_median(answers: Sequence[tuple[float, float]]) -> float:
    """The answer with half of the weight on either side; answers are (value, weight)."""
    ranked = sorted(answers)
    half, passed = sum(weight for _, weight in ranked) / 2, 0.0
    for value, weight in ranked:
        passed += weight
        if passed >= half:
            return value
    return ranked[-1][0]
