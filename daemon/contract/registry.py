"""The output formats and the depth sources that a YAML file can name: one line each.

A line holds what the daemon must know, and the module of the pipeline that does the work. The daemon never imports that module.
Everything that lists formats or sources (the YAML reader, the JSON Schema, status, manifest and the pages) follows from here.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class OutputFormat:
    """A word that may stand in `formats`.

    Attributes:
        word: in the YAML file; also the kind of its files in status.json. Lower case, with dashes.
        module: has a `FORMAT` (`pipeline.export.format.Format`).
        label: of the link to its first file on the page of all jobs.
    """

    word: str
    module: str
    label: str


@dataclass(frozen=True)
class DepthSource:
    """A word that `depth` may be.

    Attributes:
        word: in the YAML file.
        module: has a `SOURCE` (`pipeline.depth.source.Source`). It is imported by every worker, so it imports large libraries
            only in its functions.
        in_manifest: what the manifest calls it; the word itself where empty.
        learned: whether it asks a model, so that a worker loads torch and transformers in advance.
        estimated: whether it knows no depth and only estimates it, so that the page says so beside the picture.
    """

    word: str
    module: str
    in_manifest: str = ""
    learned: bool = False
    estimated: bool = False

    @property
    def name(self) -> str:
        """What the manifest calls it."""
        return self.in_manifest or self.word


#: Files and links come in this order.
FORMATS = (OutputFormat("psd", "pipeline.export.psd", label="PSD"),)

#: `auto` takes the first that has depth for the picture.
DEPTH_SOURCES = (
    DepthSource("file", "pipeline.depth.supplied"),
    DepthSource("photo", "pipeline.depth.photo"),
    DepthSource("model", "pipeline.depth.learned", learned=True),
    DepthSource("cues", "pipeline.depth.cues", in_manifest="heuristic", estimated=True),
)
#: What the manifest calls depth that is only estimated.
ESTIMATES = frozenset(source.name for source in DEPTH_SOURCES if source.estimated)
