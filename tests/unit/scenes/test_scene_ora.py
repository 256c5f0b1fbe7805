"""The OpenRaster file: what is in it, in which order, and that its layers are the picture."""

import io
import struct
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from pipeline.export.scenes import archive
from pipeline.export.scenes.open_raster import FORMAT
from pipeline.layers.recompose import compose
from tests.unit.scenes.stand_in import pictures


def test_contents_are_aligned_whatever_the_names_are_long() -> None:
    entries = [("n" * length, bytes([length]) * length) for length in range(1, 70)]
    out = io.BytesIO()
    archive.write(out, entries, align=64)
    with zipfile.ZipFile(out) as read:
        assert [(each.filename, read.read(each)) for each in read.infolist()] == entries
        for each in read.infolist():
            name, extra = struct.unpack_from("<HH", out.getvalue(), each.header_offset + 26)
            assert (each.header_offset + 30 + name + extra) % 64 == 0
            assert extra == 0 or extra >= 4


def test_the_layers_in_the_file_are_the_picture(tmp_path: Path) -> None:
    made = pictures(400, 240, empty=(1,))
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        assert FORMAT.write(folder, made, lambda _: None) == ["layers.ora"] == [FORMAT.file(made)]
    data = (tmp_path / "a/layers.ora").read_bytes()
    assert data == (tmp_path / "b/layers.ora").read_bytes()
    assert data[30:54] == b"mimetypeimage/openraster"  # so that programs recognise the file by its first bytes
    with zipfile.ZipFile(io.BytesIO(data)) as read:
        assert read.testzip() is None
        files = {name: read.read(name) for name in read.namelist()}
    image = ElementTree.fromstring(files["stack.xml"])
    assert {name: image.get(name) for name in ("w", "h", "xres", "yres")} == {
        "w": "400",
        "h": "240",
        "xres": "300",
        "yres": "300",
    }
    layers = image.findall("stack/layer")
    assert [layer.get("name") for layer in layers] == ["Layer 3 foreground", "Layer 2 midground", "Layer 1 background"]
    stack = []
    for layer in reversed(layers):
        whole = Image.new("RGBA", (400, 240))
        whole.paste(Image.open(io.BytesIO(files[layer.get("src")])), (int(layer.get("x")), int(layer.get("y"))))
        stack.append(np.asarray(whole))
    assert np.array_equal(compose(made.photo.rgb, None, stack).picture, made.photo.rgb)
    merged = np.asarray(Image.open(io.BytesIO(files["mergedimage.png"])))
    assert np.array_equal(merged, made.photo.rgb)
    assert Image.open(io.BytesIO(files["Thumbnails/thumbnail.png"])).size == (256, 154)
