"""layer_manifest.json: what the layers are and what made them. It has no times or ids, so the same job gives the same bytes."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from daemon.contract.bounds import Checksum, Count, Extent, Finite, Path, Sentence, Share, Word
from daemon.contract.registry import DEPTH_SOURCES
from daemon.contract.spec import MAX_LAYERS
from daemon.contract.status import Frozen

MANIFEST_VERSION = 1
MANIFEST_NAME = "layer_manifest.json"

if TYPE_CHECKING:
    # Type checkers cannot compute the names.
    SourceName = str
else:
    SourceName = Literal[tuple(source.name for source in DEPTH_SOURCES)]


class Layer(Frozen):
    """One layer; `index` 1 is the farthest."""

    index: int = Field(ge=1, le=MAX_LAYERS)
    name: Word
    file: Path
    depth_range: tuple[Finite, Finite] = Field(description="[far, near] disparity, 0 to 1")
    coverage: Share = Field(description="fraction of the picture's pixels where this layer is visible in the composite")
    bbox: tuple[Count, Count, Count, Count] | None = Field(description="x, y, width, height of the visible part; null if empty")
    sha256: Checksum
    distance: Finite | None = Field(
        None, gt=0.0, description="from the camera to the layer's plane, in the camera's unit; null in older manifests"
    )
    scale: Finite | None = Field(
        None,
        gt=0.0,
        description="size of the plane that shows the whole layer, as a multiple of one at the camera's pivot: distance / pivot",
    )
    travel: Finite | None = Field(
        None,
        description="how far the layer moves when the camera moves by its reach to the left (or up), "
        "as a fraction of the picture's width (or height); below 0 behind the pivot",
    )


class Camera(Frozen):
    """A pinhole camera that sees the photo: each layer is a plane, square to its axis and as large as its view."""

    width: Extent
    height: Extent
    fov: Finite = Field(gt=0.0, lt=180.0, description="horizontal angle of view, in degrees")
    fov_vertical: Finite = Field(gt=0.0, lt=180.0, description="vertical angle of view, in degrees")
    focal_length: Finite = Field(gt=0.0, description="in pixels of the picture")
    lens: Literal["exif", "assumed"] = Field(description="exif: the picture says the focal length; assumed: as of a 35 mm lens")
    unit: Literal["metre", "relative"] = Field(
        description="of all distances; relative: only proportions count, and the nearest possible thing is 2 units away"
    )
    pivot: Finite = Field(gt=0.0, description="distance that stays where it is in the picture when the camera moves")
    reach: tuple[Finite, Finite] = Field(
        description="how far the camera may move to each side, and up and down, before it would see what no layer holds"
    )
    push: Finite = Field(ge=0.0, description="how far the camera may move forward")


class Split(Frozen):
    """How the disparity was split into layers. `thresholds` rise from far to near."""

    method: Literal["natural", "equal", "quantile", "given"]
    thresholds: tuple[Finite, ...] = Field(max_length=MAX_LAYERS)


class Depth(Frozen):
    """Where the depth came from. The source `heuristic` means that it was estimated without a model."""

    source: SourceName
    model: Word | None = None
    revision: Word | None = None
    licence: Word | None = None
    device: Word | None = Field(None, description="where the model ran: cpu, cuda or mps; null without a model")
    quality: Literal["fast", "best"] | None = Field(
        None, description="fast (one pass) or best (several passes); null without a model"
    )
    prompt: Literal["photo"] | None = Field(
        None, description="photo: the model refined the depth stored in the photo; null: it saw only the picture"
    )
    figures: Count | None = Field(None, description="how many figures an estimate without a model found; null for other sources")
    polarity: Literal["disparity", "distance"] = Field(description="what larger values of the source meant before conversion")
    valid: Share = Field(1.0, description="fraction of the pixels that the source measured")
    method: Literal["stereo"] | None = Field(
        None, description="stereo: measured by matching the two views in the photo; null: as the source stores or estimates it"
    )


Precision = Literal["float32", "float16", "bfloat16"]


class Painterly(Frozen):
    """What painted the picture."""

    engine: Literal["diffusion", "strokes"]
    model: Word | None = None
    revision: Word | None = None
    style: Word
    strength: Share
    seed: int = Field(ge=0, le=2**63 - 1)
    steps: Count | None = None
    device: Word | None = Field(None, description="where a model painted: cpu, cuda or mps; null without a model")
    precision: Precision | None = Field(None, description="precision of the model's arithmetic; null without a model")


class Network(Frozen):
    """A model that worked on the layers, for matting or fill."""

    model: Word
    revision: Word
    licence: Word
    device: Word = Field(description="where it ran: cpu, cuda or mps")


class Recomposition(Frozen):
    """How closely the layers recompose to the picture, in 8-bit levels."""

    max_error: int = Field(ge=0, le=255, description="largest difference in any channel, 0 to 255")
    raised_alpha: Count = Field(description="pixels whose alpha was raised so that an exact colour exists")
    mean_colour_distance: Finite = Field(
        0.0, ge=0.0, description="mean distance between solved and estimated colour along soft borders, in levels"
    )


class Manifest(Frozen):
    """The content of layer_manifest.json. The layers are in order from far to near."""

    schema_version: int = MANIFEST_VERSION
    width: Extent
    height: Extent
    layers: tuple[Layer, ...] = Field(max_length=MAX_LAYERS)
    note: Sentence | None = Field(
        None, description="how many layers are not empty, and why the others are; null if all are filled"
    )
    camera: Camera | None = Field(None, description="null in older manifests")
    split: Split
    depth: Depth
    painterly: Painterly | None = None
    matting: Network | None = Field(None, description="the model that softened the borders between layers; null if none did")
    mattes: tuple[Word, ...] = Field(
        (),
        max_length=10,
        description="the phone's own mattes that softened borders, by what they show: portrait, hair, skin, sky",
    )
    fill: Network | None = Field(
        None, description="the model that painted large hidden parts of the farthest layer; null if none did"
    )
    recomposition: Recomposition
    colour_profile: Sentence = Field("sRGB", description="description of the ICC profile in every output, sRGB if there is none")
    source_bits: int = Field(8, ge=1, le=64, description="bits per channel of the picture; layers have 8")
    threads: Count
    versions: dict[Word, Word] = Field(max_length=100)
