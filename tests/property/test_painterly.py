"""Any picture can be painted: any shape, any colours, any strength."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.layers.layering import layer_picture
from pipeline.painterly import strokes, styles
from pipeline.painterly.enlarge import enlarge

STROKES = [style for style in styles.styles().values() if style.engine == "strokes"]
FEW = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))


@st.composite
def pictures(draw):
    height, width = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    generator = np.random.default_rng(draw(st.integers(0, 1 << 20)))
    kind = draw(st.sampled_from(["noise", "flat", "black", "white"]))
    if kind == "noise":
        return generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
    level = {"flat": generator.integers(0, 256, 3), "black": 0, "white": 255}[kind]
    return np.full((height, width, 3), level, np.uint8)


@FEW
@given(pictures(), st.sampled_from(STROKES), st.floats(0.0, 1.0), st.integers(0, 2**63 - 1))
def test_any_picture_is_painted_at_its_own_size(photo, style, strength, seed):
    painted = strokes.paint(photo, style, strength=strength, seed=seed)
    painting = painted.rgb
    assert (painting.shape, painting.dtype) == (photo.shape, np.uint8)
    if strength == 0.0:
        assert (painting == photo).all()
    if painted.owners is not None:
        assert (painted.owners.ndim, painted.owners.dtype) == (2, np.int32)
        assert painted.owners.shape <= photo.shape[:2]
        assert painted.owners.min() >= 0


@FEW
@given(pictures(), st.integers(1, 40), st.integers(1, 40))
def test_any_painting_is_enlarged_to_any_photo(photo, height, width):
    painting = np.full((height, width, 3), 77, np.uint8)
    full = enlarge(painting, photo)
    assert full.shape == photo.shape
    assert np.abs(full.astype(int) - 77).max() <= 1


@pytest.mark.parametrize("style", STROKES, ids=lambda style: style.description)
def test_a_painting_is_recomposed_by_its_layers(style):
    rows, columns = np.mgrid[:72, :96]
    photo = np.dstack([rows * 3, columns * 2, (rows + columns) % 256]).astype(np.uint8)
    painted = strokes.paint(photo, style, strength=0.6, seed=1)
    layers = layer_picture(painted.rgb, None, (rows / 71.0).astype(np.float32), None, num_layers=4, stroke_regions=painted.owners)
    assert layers.max_error <= 1
