"""The page in one file goes to people who did not set up the program: it tells them about the picture, not about the program."""

import numpy as np

from daemon.contract.manifest import Depth
from pipeline.export.format import Pictures
from pipeline.export.page import FORMAT
from pipeline.export.page_content import page_of
from pipeline.image.decode import Photo
from pipeline.layers.layering import layer_picture


def test_it_gives_no_advice_about_models_and_counts_the_layers_that_hold_something(tmp_path) -> None:
    rgb = np.zeros((40, 60, 3), np.uint8)
    rgb[10:30, 20:40] = 200
    near = np.zeros((40, 60), np.float32)
    near[10:30, 20:40] = 1.0
    layers = layer_picture(rgb, None, near, None, num_layers=3, split=(0.4, 0.6))
    note = "The depth was estimated without a model. To fetch one: multiplane models fetch."
    photo = Photo(rgb, None, None, "sRGB", 8, "PNG")
    pictures = Pictures("a", photo, layers, Depth(source="heuristic", polarity="disparity"), "estimated without a model", note)
    assert page_of(pictures, ()).layers_in_words == "2 of 3 layers: the others are empty"
    assert page_of(pictures, ()).note == note
    (name,) = FORMAT.write(tmp_path, pictures, lambda _: None)
    html = (tmp_path / name).read_text()
    assert '"made":"2 layers"' in html
    assert '"note":null' in html
    assert "estimated without a model" in html
    assert "fetch" not in html.partition("<script")[0]
