"""The output formats and depth sources that a YAML file can name.

Each entry has what the daemon must know, and names the pipeline module that does the work. The daemon never imports that module.
All code that lists formats or sources uses this registry: the YAML reader, the JSON Schema, status, manifest and pages.
"""

from dataclasses import dataclass

#: The formats of pictures that can be dropped, for sentences.
PICTURES_IN_WORDS = "JPEG, PNG, WebP, TIFF, HEIC, AVIF, JPEG XL, PSD, BMP or GIF"


@dataclass(frozen=True)
class OutputFormat:
    """A word that `formats` can contain.

    Attributes:
        word: the word in the YAML file, and the kind of the format's files in status.json; in lower case, with dashes.
        module: the module that defines `FORMAT` (`pipeline.export.format.Format`).
        label: the text of the link to the format's first file, on the page of all jobs.
        package: what must be installed to write the format, but need not be; empty: nothing.
        imported: the name under which Python imports `package`.
    """

    word: str
    module: str
    label: str
    package: str = ""
    imported: str = ""


@dataclass(frozen=True)
class DepthSource:
    """A value of `depth`.

    Attributes:
        word: the word in the YAML file.
        module: the module that defines `SOURCE` (`pipeline.depth.source.Source`). Every worker imports it, so it must import
            large libraries only inside functions.
        in_manifest: the source's name in the manifest; empty: the word itself.
        learned: whether the source uses a model. If so, workers load torch and transformers in advance.
        estimated: whether the source only estimates depth, without data or a model. If so, the page says this on the picture.
    """

    word: str
    module: str
    in_manifest: str = ""
    learned: bool = False
    estimated: bool = False

    @property
    def name(self) -> str:
        """The source's name in the manifest."""
        return self.in_manifest or self.word


#: Files and links are listed in this order.
FORMATS = (
    OutputFormat("psd", "pipeline.export.psd", label="PSD"),
    OutputFormat("video", "pipeline.export.moving.video", label="Video"),
    OutputFormat("webp", "pipeline.export.moving.webp", label="WebP"),
    OutputFormat("glb", "pipeline.export.scenes.gltf", label="GLB"),
    OutputFormat("usdz", "pipeline.export.scenes.usd", label="USDZ", package="usd-core", imported="pxr"),
    OutputFormat("after-effects", "pipeline.export.scenes.after_effects", label="After Effects"),
    OutputFormat("blender", "pipeline.export.scenes.blender", label="Blender"),
    OutputFormat("stereo", "pipeline.export.moving.stereo", label="Stereo"),
    OutputFormat("page", "pipeline.export.page", label="Page"),
    OutputFormat("ora", "pipeline.export.scenes.open_raster", label="OpenRaster"),
)

#: `depth: auto` uses the first of these that has depth for the picture.
DEPTH_SOURCES = (
    DepthSource("file", "pipeline.depth.supplied"),
    DepthSource("photo", "pipeline.depth.photo"),
    DepthSource("model", "pipeline.depth.learned", learned=True),
    DepthSource("cues", "pipeline.depth.cues", in_manifest="heuristic", estimated=True),
)
#: What the manifest calls depth that is only estimated.
ESTIMATES = frozenset(source.name for source in DEPTH_SOURCES if source.estimated)
