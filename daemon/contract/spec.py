"""JobSpec: what one job should do, complete and checked.

`daemon.sidecar` makes the JobSpec: it reads untrusted YAML, and combines the fields of configuration, preset and sidecar.
"""

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from daemon.contract.registry import DEPTH_SOURCES, FORMATS
from daemon.contract.words.printable import counted

Mode = Literal["photo-realistic", "painterly"]
DepthKind = Literal["disparity", "distance"]
DepthQuality = Literal["fast", "best"]
Choice = Literal["auto", "model"]
MeshKind = Literal["flat", "relief"]
Naming = Literal["plain", "photo"]
SplitMethod = Literal["natural", "equal", "quantile"]
MotionName = Literal["sway", "orbit", "push-in", "pan", "tilt"]
if TYPE_CHECKING:
    # Type checkers cannot compute the words.
    DepthChoice = str
    Format = str
else:
    DepthChoice = Literal["auto", *(source.word for source in DEPTH_SOURCES)]
    Format = Literal[tuple(each.word for each in FORMATS)]

#: The second form is that of generated ids, so that ids which `submit` chooses sort together with those of the daemon.
JOB_ID_PATTERN = r"^(?:[a-z0-9][a-z0-9._-]{0,63}|[0-9]{8}T[0-9]{6}-[a-z0-9-]{1,48})$"
#: Names that match the pattern but are reserved: the daemon's own files in the outbox, or in a job's folder, have these names.
RESERVED_IDS = ("daemon.json", "index.html", "metrics.prom", "status.json", "job.log")
MIN_LAYERS, MAX_LAYERS = 2, 12


class JobSpec(BaseModel):
    """What one job should do: a value for every field of the sidecar.

    If `split` is a list, it contains disparities (0 far, 1 near), strictly rising: one fewer than `num_layers`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    mode: Mode = Field(
        "photo-realistic", description="photo-realistic: layers of the photo; painterly: layers of a painting of it"
    )
    num_layers: int = Field(4, ge=MIN_LAYERS, le=MAX_LAYERS, strict=True, description="how many layers to make")
    style: Annotated[str, Field(max_length=100)] | None = Field(None, description="painterly: the name of a style")
    strength: float = Field(0.5, ge=0.0, le=1.0, description="painterly: 0 is the photo itself, 1 is the loosest painting")
    seed: int = Field(
        42, ge=0, le=2**63 - 1, strict=True, description="painterly, or with fill: model: the same seed gives the same result"
    )
    depth: DepthChoice = Field("auto", description="where depth comes from; auto uses the best source available")
    depth_kind: DepthKind = Field(
        "disparity", description="how to read photo.depth.png: disparity (near is bright) or distance (far is bright)"
    )
    depth_quality: DepthQuality = Field(
        "fast",
        description="how a depth model works: fast (one pass) or best (the average of several, finer passes; much slower)",
    )
    formats: tuple[Format, ...] = Field(("psd",), description="what to make besides the PNG layers; [] for nothing")
    naming: Naming = Field(
        "plain",
        description="what the names of layers, depth map, composite and formats begin with: nothing (plain) or the photo's name",
    )
    motion: MotionName = Field(
        "sway",
        description="formats that move: sway (to one side and the other), orbit (around), push-in, pan or tilt (across or down "
        "the picture)",
    )
    seconds: float = Field(6.0, ge=1.0, le=60.0, description="formats that move: length of the loop, in seconds")
    fps: int = Field(30, ge=5, le=60, strict=True, description="formats that move: frames per second")
    amount: float = Field(
        1.0, gt=0.0, le=1.0, description="formats that move, and stereo: how far the camera goes; 1 is as far as it may"
    )
    size: int = Field(
        1920,
        ge=160,
        le=3840,
        strict=True,
        description="formats that move: longer side of the frames in pixels, at most; a video of a small photo is up to twice as "
        "large as the photo, webp never larger",
    )
    mesh: MeshKind = Field(
        "flat", description="glb and usdz: what layers are drawn on: flat (planes) or relief (gently shaped by their depth)"
    )
    split: SplitMethod | tuple[Annotated[float, Field(gt=0.0, lt=1.0)], ...] = Field(
        "natural",
        description="natural, equal, quantile, or num_layers − 1 rising thresholds between 0 (far) and 1 (near)",
    )
    matting: Choice = Field(
        "auto", description="how borders between layers get soft: auto (by their colours) or model (a matting model; slower)"
    )
    fill: Choice = Field(
        "auto",
        description="how hidden parts are filled: auto (copies of what is around) or model (large ones are painted; slow)",
    )
    priority: int = Field(0, ge=-10, le=10, strict=True, description="higher runs first")
    timeout_seconds: float = Field(600, gt=0, description="how many seconds the job may take, up to the configured limit")
    id: Annotated[str, Field(pattern=JOB_ID_PATTERN)] | None = Field(
        None, description="the name of the job's folder in the outbox; not allowed in presets and batches"
    )
    images: tuple[Annotated[str, Field(min_length=1, max_length=255)], ...] | None = Field(
        None, description="only in batches: names or globs of the pictures of the batch"
    )

    @model_validator(mode="after")
    def _thresholds_fit(self) -> Self:
        if not isinstance(self.split, str):
            if len(self.split) != self.num_layers - 1:
                raise ValueError(
                    f"split: {self.num_layers} layers need {counted(self.num_layers - 1, 'threshold')}, {len(self.split)} given"
                )
            if any(b <= a for a, b in zip(self.split, self.split[1:], strict=False)):
                raise ValueError("split: the thresholds must rise from far (0) to near (1)")
        return self
