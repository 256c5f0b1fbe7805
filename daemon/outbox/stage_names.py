"""The stages of a job in plain words, for people. status.json and the journal keep the short names."""

_NAMES = {
    "decode": "Reading the picture",
    "paint": "Painting",
    "depth": "Finding the depth",
    "layers": "Making the layers",
    "refine": "Fitting the depth to edges",
    "split": "Dividing the picture by depth",
    "matte": "Softening borders",
    "fill": "Filling behind objects",
    "recompose": "Matching the layers to the picture",
    "export": "Writing the files",
    "checking": "Checking the result",
}


def stage_name(stage: str) -> str:
    """The name of a stage in plain words. An unknown stage, for instance of a newer worker, is returned unchanged."""
    return _NAMES.get(stage, stage)
