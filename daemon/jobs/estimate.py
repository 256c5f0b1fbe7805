"""Estimates how much longer a running job will take, stage by stage, from earlier jobs. Pure: the time is always passed in.

A completed job leaves a timeline: when each of its stages began (from the journal) and, if the job was observed, when each
fraction of progress was reported. The point that a running job has reached is looked up on the timeline of each earlier job of
its kind. That shows how much of the earlier job was done at this point, and how much was left. So the fractions that a worker
reports serve only as milestones. They are used as a measure of time only while there is no timeline.

The *pace* is how many times longer the running job takes than an earlier job. It is estimated in two ways: from the cost of
size and layers, and from the time taken so far. At the beginning, the first estimate is more reliable; later, the second is. The
logarithms of the two are averaged, each weighted by the inverse of its variance. If the current step takes longer than expected,
the remaining steps are expected to take longer too; this effect is stronger if the step is a large part of the job. Each
timeline gives one answer. The result is the weighted median of these answers, so a job that was slowed down by other work on the
machine hardly matters.

There is no estimate early in a job of a new kind, nor when a job has made no progress for far too long.
"""

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from daemon.contract.records import Job

#: How many jobs are remembered per kind: enough for several sizes, and few enough to adapt soon to a new model or machine.
_MEMORY = 60
#: The exponents with which the time grows with the bytes of the file and with the number of layers. They were fitted, like the
#: numbers below, to recorded jobs of 0.3 to 12 megapixels and 2 to 6 layers. They are below 1 because part of the work does not
#: depend on either.
_BY_BYTES, _BY_LAYERS = 0.6, 0.6
#: The difference in size or layers, in natural logarithms, at which an earlier job counts 1/e as much as an equal one.
_NEAR_BYTES, _NEAR_LAYERS = 0.5, 0.3
#: The weight of a job relative to the next newer one.
_FADING = 0.96
#: The weight of a job whose stages are known from the journal, but not its progress within them.
_UNWATCHED = 0.5
#: The standard deviation, in natural logarithms, of the pace predicted from size and layers: for equal jobs, and what each unit
#: of difference adds.
_SPREAD_PREDICTED, _SPREAD_APART = 0.4, 0.2
#: The standard deviation of the pace observed so far, when half of the job is done.
_SPREAD_SEEN = 0.25
#: For a kind that was never completed, the cost of size is unknown: no estimate before this fraction of the job is done.
_LEAST_SEEN = 0.2
#: If a step exceeds its expected time by this many seconds and by this fraction of the whole job, it may never end, and there is
#: no estimate.
_PATIENCE_SECONDS, _PATIENCE_SHARE = 5.0, 0.5
#: A job that takes longer than expected is never reported as nearly done: what remains is at least this fraction of the time
#: taken so far.
_LEAST_LEFT = 0.1

#: What makes jobs comparable: mode, style, depth source, the formats made, and the type of the picture.
Kind = tuple[str | None, str | None, str, frozenset[str], str]
#: Pairs of (reported fraction from 0 to 1, seconds since the start), both rising.
Track = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Timeline:
    """A completed job.

    Attributes:
        size: bytes of the picture's file.
        layers: how many were asked for.
        seconds: how long the worker took.
        begins: seconds from the start to the beginning of each stage, by stage, in their order.
        track: the progress reported, from (0, 0) to (1, `seconds`); empty if the job is known only from the journal.
    """

    size: int
    layers: int
    seconds: float
    begins: Mapping[str, float]
    track: Track = ()


@dataclass(slots=True)
class Run:
    """A running job.

    Attributes:
        kind: the kind of the job, see `kind_of`.
        size: bytes of the picture's file.
        layers: how many were asked for.
        began: when it began, in monotonic seconds.
        limit: seconds after which it is stopped.
        begins: seconds from the start to the first report from each stage, by stage, in their order.
        track: the progress reported so far.
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
    """The point on a timeline that a running job has reached.

    Attributes:
        at: seconds into the running job at its last milestone.
        behind: seconds into the timeline at that milestone.
        following: seconds into the timeline at the next milestone.
    """

    at: float
    behind: float
    following: float


#: Stands in for a timeline for the first job of a kind: time is proportional to the fraction that the worker reports.
_SHARES_ALONE = Timeline(size=1, layers=1, seconds=1.0, begins={}, track=((0.0, 0.0), (1.0, 1.0)))


def kind_of(job: Job) -> Kind:
    """The kind of a job. Raises ValueError if the job has no spec."""
    spec = job.spec
    if spec is None:
        raise ValueError(f"{job.job_id} has no spec")
    given = any(file.role == "depth" for file in job.accepted.files)
    depth = "file" if given and spec.depth == "auto" else spec.depth
    style = spec.style if spec.mode == "painterly" else None
    return spec.mode, style, depth, frozenset(spec.formats), job.image.to.rpartition(".")[2].lower()


class Estimator:
    """Learns from completed jobs, and estimates the remaining time of running ones. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._timelines: dict[Kind, deque[Timeline]] = {}
        self._runs: dict[str, Run] = {}
        self._watched: dict[str, Track] = {}

    def learn(self, job: Job) -> None:
        """Remember a completed job, with the progress observed while it ran. Other jobs are ignored."""
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
        """Note that a worker has received this job."""
        self._watched.pop(job.job_id, None)
        if job.spec is not None:
            limit = job.spec.timeout_seconds
            self._runs[job.job_id] = Run(kind_of(job), max(job.image.size, 1), job.spec.num_layers, now, limit)

    def progressed(self, job_id: str, stage: str, share: float, now: float) -> None:
        """Note what the worker reports: its stage, and the fraction of the job that is done, 0 to 1."""
        run = self._runs.get(job_id)
        if run is None:
            return
        if share <= 0.0 and not run.track:
            run.began = now  # until now, a cold worker was loading its libraries
        run.begins.setdefault(stage, now - run.began)
        if share > (run.track[-1][0] if run.track else 0.0):
            run.track.append((share, now - run.began))

    def end(self, job_id: str, now: float, *, completed: bool) -> None:
        """Note that the worker is gone. If the job completed, the caller calls `learn` later."""
        run = self._runs.pop(job_id, None)
        if run is not None and completed and run.track:
            self._watched[job_id] = ((0.0, 0.0), *run.track, (1.0, now - run.began))

    def remaining(self, job_id: str, now: float) -> float | None:
        """Seconds until the job is done, or stopped at its time limit; None if there is no estimate."""
        run = self._runs.get(job_id)
        if run is None:
            return None
        elapsed = now - run.began
        share = run.track[-1][0] if run.track else 0.0
        own = self._timelines.get(run.kind)
        timelines = own or self._nearest(run.kind) or (_SHARES_ALONE,)
        seconds = _weighted_median(
            [
                (_remaining(run, each, elapsed, sized=own is not None), _weight(run, each, age))
                for age, each in enumerate(reversed(timelines))
            ]
        )
        if math.isinf(seconds) or elapsed >= run.limit:
            return None
        return min(max(seconds, elapsed * _LEAST_LEFT * (1.0 - share)), run.limit - elapsed)

    def _nearest(self, kind: Kind) -> Sequence[Timeline]:
        """The timelines of jobs with the same mode, style and depth source, but another type of picture or other formats."""
        return [each for other, timelines in self._timelines.items() if other[:3] == kind[:3] for each in timelines]


def _apart(run: Run, timeline: Timeline) -> tuple[float, float]:
    """How much larger the running job is than the earlier one, in bytes and in layers, as natural logarithms."""
    # 1 is added because the background costs as much as one more layer.
    return math.log(run.size / timeline.size), math.log((run.layers + 1) / (timeline.layers + 1))


def _weight(run: Run, timeline: Timeline, age: int) -> float:
    """The weight of a timeline's answer. `age`: how many timelines are newer."""
    by_size, by_layers = _apart(run, timeline)
    likeness = math.exp(-abs(by_size) / _NEAR_BYTES - abs(by_layers) / _NEAR_LAYERS)
    return likeness * _FADING**age * (1.0 if timeline.track else _UNWATCHED)


def _remaining(run: Run, timeline: Timeline, elapsed: float, *, sized: bool) -> float:
    """Seconds that remain of the running job, according to one timeline; infinite if it gives no answer.

    `sized`: the timeline is of the same kind, so that the pace can be predicted from size and layers.
    """
    place = _place(run, timeline)
    if not sized and place.behind < _LEAST_SEEN * timeline.seconds:
        return math.inf
    pace = _pace(run, timeline, place, sized=sized)
    since, step = elapsed - place.at, pace * (place.following - place.behind)
    if since - step > max(_PATIENCE_SECONDS, _PATIENCE_SHARE * pace * timeline.seconds):
        return math.inf
    # If this step takes longer than expected, the remaining steps will as well, though less so if the step is a small part.
    late = max(1.0, since / step) if step > 0 else 1.0
    rest = math.pow(late, _trust(run, timeline, place.following - place.behind)) * pace * (timeline.seconds - place.following)
    return max(step - since, 0.0) + rest


def _pace(run: Run, timeline: Timeline, place: _Place, *, sized: bool) -> float:
    """The pace of the running job relative to a timeline: how many times longer everything takes."""
    by_size, by_layers = _apart(run, timeline)
    predicted = _BY_BYTES * by_size + _BY_LAYERS * by_layers
    if place.at <= 0 or place.behind <= 0:
        return math.exp(predicted)
    seen = math.log(place.at / place.behind)
    trust = _trust(run, timeline, place.behind) if sized else 1.0
    return math.exp(trust * seen + (1 - trust) * predicted)


def _trust(run: Run, timeline: Timeline, part: float) -> float:
    """The weight, 0 to 1, of a pace observed over `part` seconds of the timeline; the predicted pace has the remaining weight."""
    share = part / timeline.seconds
    if not 0 < share < 1:
        return 0.0 if share <= 0 else 1.0
    by_size, by_layers = _apart(run, timeline)
    predicted_variance = _SPREAD_PREDICTED**2 + (_SPREAD_APART * (abs(by_size) + abs(by_layers))) ** 2
    # The smaller the observed part, the less it says about the whole.
    observed_variance = _SPREAD_SEEN**2 * (1 - share) / share
    return predicted_variance / (predicted_variance + observed_variance)


def _place(run: Run, timeline: Timeline) -> _Place:
    """The point on a timeline that the running job has reached: by progress if the timeline has a track, otherwise by stage."""
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
    """The weighted median of `answers`, which are pairs of (value, weight)."""
    ranked = sorted(answers)
    half, passed = sum(weight for _, weight in ranked) / 2, 0.0
    for value, weight in ranked:
        passed += weight
        if passed >= half:
            return value
    return ranked[-1][0]
