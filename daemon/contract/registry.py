"""The output formats and depth sources that a YAML file can name: one line each.

A line holds what the daemon must know, and names the pipeline module that does the work. The daemon never imports that module.
Everything that lists formats or sources uses this registry: the YAML reader, the JSON Schema, status, manifest and pages.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class OutputFormat:
    """A word that `formats` can contain.

    Attributes:
        word: the word in the YAML file, and the kind of its files in status.json. Lower case, with dashes.
        module: the module that defines `FORMAT` (`pipeline.export.format.Format`).
        label: the text of the link to its first file on the page of all jobs.
    """

    word: str
    module: str
    label: str


@dataclass(frozen=True)
class DepthSource:
    """A value of `depth`.

    Attributes:
        word: the word in the YAML file.
        module: the module that defines `SOURCE` (`pipeline.depth.source.Source`). Every worker imports it, so it must import
            large libraries only inside functions.
        in_manifest: its name in the manifest; if empty, the word itself.
        learned: whether it uses a model. If so, workers load torch and transformers in advance.
    """

    word: str
    module: str
    in_manifest: str = ""
    learned: bool = False

    @property
    def name(self) -> str:
        """Its name in the manifest."""
        return self.in_manifest or self.word


#: Files and links are listed in this order.
FORMATS = (OutputFormat("psd", "pipeline.export.psd", label="PSD"),)

#: `auto` uses the first source that has depth for the picture.
DEPTH_SOURCES = (
    DepthSource("file", "pipeline.depth.supplied"),
    DepthSource("photo", "pipeline.depth.photo"),
    DepthSource("model", "pipeline.depth.learned", learned=True),
    DepthSource("cues", "pipeline.depth.cues", in_manifest="heuristic"),
)
