"""The layer manifest: names of layers and files, and bytes that stay the same."""

import json
from pathlib import Path

import pytest

from daemon.contract.manifest import Depth, Manifest, Recomposition, Split
from pipeline.export import manifest, naming
from pipeline.export.camera import camera_before
from pipeline.layers.distances import Distances


def test_layers_are_named_back_to_front_and_each_once() -> None:
    assert naming.layer_files(4) == (
        "Layer_1_background.png",
        "Layer_2_midground.png",
        "Layer_3_midground.png",
        "Layer_4_foreground.png",
    )
    assert naming.layer_files(2) == ("Layer_1_background.png", "Layer_2_foreground.png")
    assert naming.layer_names(3) == ("Layer 1 background", "Layer 2 midground", "Layer 3 foreground")
    for count in range(2, 13):
        files, names = naming.layer_files(count), naming.layer_names(count)
        assert list(files) == sorted(files)
        assert len(set(files)) == count
        assert [Path(file).stem.replace("_", " ") for file in files] == list(names)


@pytest.mark.parametrize(
    ("title", "prefix"),
    [
        ("beach", "beach_"),
        ("Ünal am Meer (2)", "Ünal am Meer (2)_"),
        ("a<b>:c", "a_b_c_"),
        ("山田\u3000花子", "山田\u3000花子_"),
        ("..hidden ", "hidden_"),
        ("", "photo_"),
        ("\udcff", "__"),
        ("é" * 100, "é" * 60 + "_"),
    ],
)
def test_a_prefix_is_a_name_that_every_system_takes(title: str, prefix: str) -> None:
    assert naming.prefix_of(title) == prefix
    assert naming.layer_files(12, prefix)[1] == f"{prefix}Layer_02_midground.png"


def test_a_stack_of_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least two"):
        naming.layer_files(1)


def example() -> Manifest:
    ranges = [(0.0, 1 / 3), (1 / 3, 1.0)]
    camera = camera_before((8, 6), (0.0, 0.03), ranges, (True, True), Distances(0.1, 0.7, in_metres=True))
    layers = manifest.describe_layers(ranges, [0.75, 0.25], [(0, 0, 8, 6), None], ["a" * 64, "b" * 64], camera.planes)
    return Manifest(
        width=8,
        height=6,
        layers=layers,
        camera=manifest.describe_camera(camera),
        split=Split(method="natural", thresholds=(1 / 3,)),
        depth=Depth(source="file", polarity="disparity"),
        recomposition=Recomposition(max_error=1, raised_alpha=0),
        colour_profile="Farbprofil für Fotos",
        threads=2,
        versions=manifest.versions("numpy", "pillow"),
    )


def test_the_file_is_pretty_in_declared_order_and_comes_back() -> None:
    data = manifest.encode(example())
    text = data.decode()
    assert text.endswith("}\n")
    assert "für" in text
    assert list(json.loads(text)) == list(Manifest.model_fields)
    assert text.startswith('{\n  "schema_version": 1,\n  "width": 8,')
    assert Manifest.model_validate_json(data) == example()
    assert manifest.encode(example()) == data


def test_depths_are_rounded_and_an_empty_layer_has_no_box() -> None:
    far, near = example().layers
    assert far.depth_range == (0.0, 0.333333)
    assert near.bbox is None
    assert [layer.index for layer in (far, near)] == [1, 2]
    assert (far.distance, near.distance) == (5.0, 2.0)
    assert (far.travel, near.travel) == (-0.01, 0.02)


def test_uneven_descriptions_are_refused() -> None:
    with pytest.raises(ValueError, match="argument"):
        manifest.describe_layers([(0.0, 1.0)], [0.5, 0.5], [None, None], ["a", "b"], [])


def test_versions_name_the_product_and_the_packages_in_order() -> None:
    found = manifest.versions("pillow", "numpy")
    assert list(found) == ["multiplane", "numpy", "pillow", "python"]
    assert all(found.values())
