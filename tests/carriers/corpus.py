"""Writes one file of each kind that people own, and says what must become of it.

`python -m tests.carriers.corpus FOLDER` writes them all, for a folder with a preset in a daemon's inbox.
`python -m tests.carriers.corpus OUTBOX --check` prints what is otherwise than it must be.
"""

import io
import json
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.image.colour import cicp, icc
from tests.carriers import heic_files, jxl_files, phone_files, raw_files, refused, stereo_scenes
from tests.unit.decoders.test_photoshop import psd
from tests.unit.image import charts
from tests.unit.image.test_declared import avif, cicp_chunk, gama, iccp_of
from tests.unit.image.test_heic import clap
from tests.unit.pictures import encoded, exif, landscape, png16, stored, tiff16

SHAPE = (126, 168)  # the proportion of the stored depth
RGB = landscape(*SHAPE)
RGB[40:90, 30:80] = [200, 60, 60]
ODD = np.ascontiguousarray(RGB[1:, :-1])
SMALL = np.full((24, 32), 60, np.uint8)
SMALL[8:18, 6:15] = 220
MATTE = np.where(SMALL > 100, 255, 0).astype(np.uint8)
LINEAR = cicp.Space(cicp.BT709, cicp.LINEAR, "linear")
DEEP = np.rint((RGB / 255) * 65535).astype(np.uint16)
TEN = np.rint((RGB / 255) * 1023).astype(np.uint16)


@dataclass(frozen=True)
class Kind:
    """A file and what must become of it.

    Attributes:
        data: the file.
        state: of the job; "waits" if there is none.
        depth: the manifest's source of depth, with ", stereo" if it was measured from two views; None for any.
        said: what a warning or the error must contain; "" for no warning but that on estimated depth.
        sidecar: whether it has a YAML file of its own.
        shape: of the result, height and width; None for any.
    """

    data: bytes
    state: str = "completed"
    depth: str | None = "heuristic"
    said: str = ""
    sidecar: bool = False
    shape: tuple[int, int] | None = SHAPE


def _without_end():
    return encoded(RGB, "JPEG", quality=90)[:-2]


def _damaged_restart(where):
    """A JPEG with a restart mark per row, of which one is wrong: the last one, or one in the middle."""
    data = bytearray(encoded(RGB, "JPEG", quality=90, restart_marker_rows=1))
    marks = [at for at in range(len(data) - 1) if data[at] == 0xFF and 0xD0 <= data[at + 1] <= 0xD7]
    data[marks[where] + 1] = 0xD0 + (data[marks[where] + 1] + 3) % 8
    return bytes(data)


def _motion_photo():
    return encoded(RGB, "JPEG", quality=90) + heic_files.box(b"ftyp", b"mp42", bytes(4), b"isom") + bytes(5000)


def _heic(numbers_or_profile, *more):
    declared = (
        [heic_files.nclx(*numbers_or_profile)]
        if isinstance(numbers_or_profile, tuple)
        else [heic_files.box(b"colr", b"prof", numbers_or_profile), heic_files.nclx(2, 2)]
    )
    return heic_files.heic((TEN, 10, [*declared, *more]))


def _gif():
    frames = [Image.fromarray(RGB), Image.fromarray(RGB[::-1])]
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def _planes():
    return np.ascontiguousarray(RGB.transpose(2, 0, 1))


def _raw(make):
    return make(encoded(RGB, "JPEG", quality=92), SHAPE[1] + 2, SHAPE[0] + 2)


def _stereo(write):
    left, right = stereo_scenes.pair(256, 352, seed=1)[:2]
    return write(left, right)


def kinds():
    """Name of the file → `Kind`."""
    pair = (256, 352)
    small = phone_files.apple
    profile = icc.profile_of
    photo = partial(Kind, depth="photo")
    stereo = partial(Kind, depth="photo, stereo", shape=pair)
    halves = partial(stereo, said="the left eye's view was layered")
    mattes = dict.fromkeys(("portrait", "hair", "skin", "sky"), MATTE)
    adobe = exif(1)
    adobe._ifds[0x8769] = {0xA001: 2}
    found = {
        # depth that phones store
        "iphone-disparity.jpg": photo(phone_files.iphone(RGB, small("disparity", SMALL, 0.5, 2.5))),
        "iphone-depth-turned.JPG": photo(
            phone_files.iphone(stored(RGB, 6), small("depth", stored(255 - SMALL, 6), 0.4, 2.0), orientation=6)
        ),
        "gdepth-inverse.jpg": photo(phone_files.gdepth(RGB, 255 - SMALL, 0.4, 2.0)),
        "gdepth-linear.jpe": photo(phone_files.gdepth(RGB, 255 - SMALL, 0.4, 2.0, "RangeLinear")),
        "dynamic-inverse.jpg": photo(phone_files.dynamic_depth(RGB, 255 - SMALL, 0.4, 2.0)),
        "dynamic-linear.jfif": photo(phone_files.dynamic_depth(RGB, 255 - SMALL, 0.4, 2.0, "RangeLinear")),
        "heic-depth-mattes.heic": photo(heic_files.portrait(RGB, SMALL, 0.5, 2.5, (), mattes)),
        "heic-turned.HEIC": photo(
            heic_files.portrait(stored(RGB, 6), stored(SMALL, 6), 0.5, 2.5, heic_files.TURNS[6], {"hair": stored(MATTE, 6)})
        ),
        "gain-map.jpg": Kind(phone_files.iphone(RGB, small(heic_files.URNS["gain map"].decode(), MATTE))),
        # stereo
        "spatial.heic": stereo(_stereo(heic_files.spatial)),
        "camera.mpo": stereo(_stereo(phone_files.stereo_mpo)),
        "pair.jps": halves(_stereo(partial(phone_files.stereo_jpeg, flags=0, descriptor=False))),
        "descriptor.jpg": halves(_stereo(phone_files.stereo_jpeg)),
        "named.sbs.jpg": halves(_stereo(partial(phone_files.stereo_jpeg, descriptor=False))),
        "no-match.mpo": Kind(
            phone_files.stereo_mpo(stereo_scenes.pair(256, 352, seed=1)[0], stereo_scenes.pair(256, 352, seed=9)[0]),
            said="two views", shape=pair,
        ),
        # colours
        "p3-icc.png": Kind(png16(DEEP, extra=iccp_of(profile(cicp.P3))), said="the layers have 8"),
        "p3-cicp.png": Kind(png16(DEEP, extra=cicp_chunk(12, 13)), said="the layers have 8"),
        "bt2020-cicp.png": Kind(png16(DEEP, extra=cicp_chunk(9, 14)), said="the layers have 8"),
        "pq-cicp.png": Kind(png16(DEEP, extra=cicp_chunk(9, 16)), said="tone mapped"),
        "hlg-cicp.png": Kind(png16(DEEP, extra=cicp_chunk(9, 18)), said="tone mapped"),
        "pq-icc.png": Kind(png16(DEEP, extra=iccp_of(charts.profile_with_numbers(9, 16))), said="tone mapped"),
        "linear-gama.png": Kind(png16(DEEP, extra=gama(1.0)), said="the layers have 8"),
        "linear-icc.png": Kind(png16(DEEP, extra=iccp_of(profile(LINEAR))), said="the layers have 8"),
        "adobe-gama-chrm.png": Kind(png16(DEEP, extra=gama(256 / 563, cicp.ADOBE_RGB)), said="the layers have 8"),
        "adobe-exif.jpg": Kind(encoded(RGB, "JPEG", quality=92, exif=adobe)),
        "p3-nclx.heic": Kind(_heic((12, 13)), said="the layers have 8"),
        "pq-nclx.heic": Kind(_heic((9, 16)), said="tone mapped"),
        "hlg-nclx.hif": Kind(_heic((9, 18)), said="tone mapped"),
        "p3-icc.heif": Kind(_heic(profile(cicp.P3)), said="the layers have 8"),
        "p3-nclx.avif": Kind(avif(RGB, 12, 13, 8)),
        "pq-nclx.avif": Kind(avif(TEN, 9, 16, 10), said="tone mapped"),
        "hlg-nclx.avifs": Kind(avif(TEN, 9, 18, 10), said="tone mapped"),
        "clap-turned.avif": Kind(
            avif(RGB, 1, 13, 8, clap(96, 60, 20, 30, of=SHAPE[::-1]), *heic_files.TURNS[6]), shape=(96, 60)
        ),
        "clap.heic": Kind(_heic((1, 13), clap(96, 60, 20, 30, of=SHAPE[::-1])), said="the layers have 8", shape=(60, 96)),
        # names and formats
        "photo.jxl": Kind(jxl_files.jxl(ODD), shape=ODD.shape[:2]),
        "UPPER.JXL": Kind(jxl_files.boxed(jxl_files.jxl(ODD, (jxl_files.P3, jxl_files.SRGB_CURVE)), 2), shape=ODD.shape[:2]),
        "photo.psd": Kind(psd(_planes(), 3)),
        "photo.psb": Kind(psd(_planes(), 3, big=True)),
        "deep.psd": Kind(psd(np.ascontiguousarray(DEEP.transpose(2, 0, 1)), 3), said="the layers have 8"),
        "photo.bmp": Kind(encoded(RGB, "BMP")),
        "frames.gif": Kind(_gif(), said="first"),
        "deep.png": Kind(png16(DEEP), said="the layers have 8"),
        "deep.tif": Kind(tiff16(DEEP), said="the layers have 8"),
        "resolution.png": Kind(encoded(RGB, "PNG", dpi=(300, 300))),
        # ends of JPEGs
        "no-end.jpg": Kind(_without_end(), said="no end mark"),
        "no-end-trailer.jpg": Kind(_without_end() + b"SEFT and other words of a phone", said="no end mark"),
        "motion.jpg": Kind(_motion_photo()),
        "restart-at-the-end.jpg": Kind(_damaged_restart(-1), said="restart marks"),
        "cut-off.jpg": Kind(encoded(RGB, "JPEG", quality=90)[:-400], "failed", said="cut off"),
        # camera raw
        **{
            f"{maker}.{maker}": Kind(_raw(make), said="own preview", sidecar=True)
            for maker, make in {
                "nef": raw_files.nikon, "dng": raw_files.dng, "cr2": raw_files.canon_cr2, "cr3": raw_files.canon_cr3,
                "rw2": raw_files.panasonic, "raf": raw_files.fujifilm, "gpr": raw_files.dng,
            }.items()
        },
        "alone.gpr": Kind(_raw(raw_files.dng), "waits", said="YAML"),
        "ALONE.NEF": Kind(_raw(raw_files.nikon), "waits", said="YAML"),
        "small-preview.nef": Kind(
            raw_files.nikon(encoded(RGB, "JPEG"), 6000, 4000), "failed", said="too small: it has 168 × 126", sidecar=True
        ),
    }  # fmt: skip
    taken = (".jpg", ".tif", ".heic", ".psd", ".jxl", ".png")
    for kind, (name, data) in refused.KINDS.items():
        ending = name[name.rindex(".") :]
        if ending in taken:
            slug = "".join(each if each.isalnum() else "-" for each in kind.lower())
            found[f"refused-{slug}{ending}"] = Kind(data, "failed")
    return found


def misses(outbox):
    """What is otherwise than it must be, a line each, in an outbox whose daemon got these files in a folder with a preset."""
    jobs, lines = {}, []
    for status in outbox.glob("*/status.json"):
        about = json.loads(status.read_text())
        jobs[about["source"]["image"]] = status.parent, about
    for name, kind in kinds().items():
        if name not in jobs:
            lines += [] if kind.state == "waits" else [f"{name}: no job"]
            continue
        folder, about = jobs[name]
        said = [each for each in about["warnings"] if not each.startswith("The depth was estimated")]
        said += [about["error"]["message"]] if about["error"] else []
        if about["state"] != kind.state:
            lines.append(f"{name}: {about['state']}")
        if kind.said not in " ".join(said) or (not kind.said and kind.state == "completed" and said):
            lines.append(f"{name}: says {said}")
        if "Traceback" in (folder / "job.log").read_text():
            lines.append(f"{name}: a traceback in job.log")
        if about["state"] == "completed":
            found = json.loads((folder / "result" / "layer_manifest.json").read_text())
            source = found["depth"]["source"] + (", stereo" if found["depth"]["method"] == "stereo" else "")
            if kind.depth not in (None, source) or kind.shape not in (None, (found["height"], found["width"])):
                lines.append(f"{name}: {source}, {found['width']} × {found['height']}")
    return lines


def main():
    folder = Path(sys.argv[1])
    if sys.argv[2:] == ["--check"]:
        sys.stdout.write("".join(line + "\n" for line in misses(folder)))
        return
    for name, kind in kinds().items():
        (folder / name).write_bytes(kind.data)
        if kind.sidecar:
            (folder / f"{name}.yaml").write_text("num_layers: 3\n")


if __name__ == "__main__":
    main()
