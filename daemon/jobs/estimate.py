"""How long a running job will still take, learned from the jobs before it. Pure: the time is always given.

Two sources are weighed against each other. Earlier jobs of the same kind tell how long a picture of this size with so many
layers took, scaled by what size and layers cost. The job's own progress tells how much of it is done; since the worker's
shares are those of one kind of picture on one machine, they are bent by how they went with the last jobs of the kind. At the
beginning history says more, later the job itself: their logarithms are averaged, each weighted by the inverse of its variance.
"""

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from daemon.contract.records import Job

#: Jobs remembered for each kind: enough for several sizes, and an installed model or a new machine is soon all there is.
_MEMORY = 60
#: How the time grows with the bytes of the file and with the layers, as powers: measured on photos of 0.3 to 12 megapixels
#: and 2 to 12 layers, where a part of the work is the same for all.
_BY_BYTES, _BY_LAYERS = 0.8, 0.6
#: How far, in natural logarithms, a job of another size or another number of layers counts as much as 1/e of one alike.
_NEAR_BYTES, _NEAR_LAYERS = 0.7, 0.5
#: How much less each older job counts.
_FADING = 0.97
#: The least spread of two jobs that look alike, and that of a single earlier one; natural logarithms.
_LEAST_SPREAD, _SPREAD_OF_ONE = 0.12, 0.35
#: How wrong an estimate from progress is when everything is still to come, with a curve that was learned and one that was not.
_SPREAD_LEARNED, _SPREAD_UNLEARNED = 0.25, 0.7
#: From less progress nothing can be said.
_LEAST_SHARE = 0.02
#: Of each new curve, how much it changes the one that is kept.
_NEW_CURVE = 0.4
#: Where a curve is kept: shares that the worker reports.
_GRID = tuple(step / 20 for step in range(1, 20))

#: What makes jobs comparable: mode and style, where depth comes from, whether a PSD is made, the picture's type.
Kind = tuple[str | None, str | None, str, bool, str]


@dataclass(frozen=True, slots=True)
class Sample:
    """A job that was completed. `size` in bytes of the picture's file, `seconds` of the worker's time."""

    size: int
    layers: int
    seconds: float


@dataclass(slots=True)
class Run:
    """A job that is running. `track`: (share reported, seconds since the start), rising."""

    kind: Kind
    size: int
    layers: int
    began: float
    track: list[tuple[float, float]] = field(default_factory=list)


def kind_of(job: Job) -> Kind:
    """The kind of a job that has a spec."""
    spec = job.spec
    if spec is None:
        raise ValueError(f"{job.job_id} has no spec")
    given = any(file.role == "depth" for file in job.accepted.files)
    depth = "file" if given and spec.depth == "auto" else spec.depth
    style = spec.style if spec.mode == "painterly" else None
    return spec.mode, style, depth, bool(spec.formats), job.image.to.rpartition(".")[2].lower()


class Estimator:
    """Learns from jobs and estimates the rest of the running ones. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._samples: dict[Kind, deque[Sample]] = {}
        self._curves: dict[tuple[Kind, int], tuple[float, ...]] = {}
        self._runs: dict[str, Run] = {}

    def learn(self, job: Job) -> None:
        """Remember a job that was completed; others teach nothing."""
        if job.published is None or job.spec is None or job.published.processing_seconds <= 0:
            return
        sample = Sample(max(job.image.size, 1), job.spec.num_layers, job.published.processing_seconds)
        self._samples.setdefault(kind_of(job), deque(maxlen=_MEMORY)).append(sample)

    def begin(self, job: Job, now: float) -> None:
        """A worker got this job."""
        if job.spec is not None:
            self._runs[job.job_id] = Run(kind_of(job), max(job.image.size, 1), job.spec.num_layers, now)

    def moved(self, job_id: str, fraction: float, now: float) -> None:
        """The worker reports that this share, 0 to 1, of the job is done."""
        run = self._runs.get(job_id)
        if run is None:
            return
        if fraction <= 0.0 and not run.track:
            run.began = now  # until here a worker without a job before it was loading its libraries
        elif not run.track or fraction > run.track[-1][0]:
            run.track.append((fraction, now - run.began))

    def end(self, job_id: str, now: float, *, completed: bool) -> None:
        """The worker is gone; a job that was completed shows how its shares went."""
        run = self._runs.pop(job_id, None)
        if run is None or not completed or len(run.track) < 2 or now <= run.began:
            return
        key = _curve_key(run)
        new = _curve(run.track, now - run.began)
        old = self._curves.get(key)
        self._curves[key] = new if old is None else tuple(o + (n - o) * _NEW_CURVE for o, n in zip(old, new, strict=True))

    def remaining(self, job_id: str, now: float) -> float | None:
        """Seconds until the job is done; none if nothing can be said yet."""
        run = self._runs.get(job_id)
        if run is None:
            return None
        total = _weighed(self._from_history(run), self._from_progress(run))
        if total is None:
            return None
        elapsed = now - run.began
        # A job that takes longer than was thought is never said to be done: a share of what it took already is left.
        left = (1.0 - run.track[-1][0]) if run.track else 1.0
        return max(total - elapsed, elapsed * 0.1 * left)

    def _from_history(self, run: Run) -> tuple[float, float] | None:
        """Seconds that such a job takes in all, and the spread of that in natural logarithms."""
        samples = self._samples.get(run.kind)
        if not samples:
            return None
        weights, values = [], []
        for age, sample in enumerate(reversed(samples)):
            bytes_apart = math.log(run.size / sample.size)
            layers_apart = math.log((run.layers + 1) / (sample.layers + 1))
            weights.append(math.exp(-abs(bytes_apart) / _NEAR_BYTES - abs(layers_apart) / _NEAR_LAYERS) * _FADING**age)
            values.append(math.log(sample.seconds) + _BY_BYTES * bytes_apart + _BY_LAYERS * layers_apart)
        weight = sum(weights)
        mean = sum(w * v for w, v in zip(weights, values, strict=True)) / weight
        variance = sum(w * (v - mean) ** 2 for w, v in zip(weights, values, strict=True)) / weight
        return math.exp(mean), math.sqrt(variance + _LEAST_SPREAD**2) + _SPREAD_OF_ONE / (1 + weight)

    def _from_progress(self, run: Run) -> tuple[float, float] | None:
        """The same from how far the job is."""
        if not run.track:
            return None
        fraction, at = run.track[-1]
        curve = self._curves.get(_curve_key(run))
        share = _bent(curve, fraction) if curve else fraction
        if share < _LEAST_SHARE or at <= 0:
            return None
        spread = _SPREAD_LEARNED if curve else _SPREAD_UNLEARNED
        return at / share, spread * (1 - share) / math.sqrt(share) + _LEAST_SPREAD / 4


def _weighed(history: tuple[float, float] | None, progress: tuple[float, float] | None) -> float | None:
    """The seconds in all that both views together make most likely.

    Where they are further apart than their spreads explain, something is new (a slower machine, a harder picture), and what
    they are apart is doubt about history, not about the job itself.
    """
    if history is None or progress is None:
        known = history or progress
        return None if known is None else known[0]
    (told, told_spread), (seen, seen_spread) = history, progress
    apart = math.log(told / seen) ** 2
    told_variance = told_spread**2 + max(0.0, apart - told_spread**2 - seen_spread**2)
    told_weight, seen_weight = 1 / told_variance, 1 / seen_spread**2
    return math.exp((told_weight * math.log(told) + seen_weight * math.log(seen)) / (told_weight + seen_weight))


def _curve_key(run: Run) -> tuple[Kind, int]:
    """Pictures of about a size share a curve: what is the same for all weighs more in small ones."""
    return run.kind, int(math.log(run.size, 4))


def _curve(track: Sequence[tuple[float, float]], total: float) -> tuple[float, ...]:
    """At each point of the grid, the share of the time that had passed when the worker reported so much."""
    points = [(0.0, 0.0), *track, (1.0, total)]
    return tuple(_between(points, fraction) / total for fraction in _GRID)


def _bent(curve: Sequence[float], fraction: float) -> float:
    """The share of the time that belongs to a share reported."""
    return _between([(0.0, 0.0), *zip(_GRID, curve, strict=True), (1.0, 1.0)], fraction)


def _between(points: Sequence[tuple[float, float]], x: float) -> float:
    """Linear interpolation; `points` rise in x."""
    place = bisect_right([point[0] for point in points], x)
    if place >= len(points):
        return points[-1][1]
    (x0, y0), (x1, y1) = points[max(place - 1, 0)], points[place]
    return y0 if x1 <= x0 else y0 + (y1 - y0) * (x - x0) / (x1 - x0)
