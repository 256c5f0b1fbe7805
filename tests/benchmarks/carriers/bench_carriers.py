"""Depth and mattes as phones and cameras store them: one row per carrier, each at all eight orientations.

Run: python -m tests.benchmarks.carriers.bench_carriers
The photo shows a box, and the stored depth is that of the box. Differences are from another reader
(`tests.carriers.second_readers`: ExifTool and ffmpeg), as fractions of the range. The offset is that of the worst of the box's
four edges at the worst orientation, in pixels of the stored picture. Stereo rows, each at the worst orientation: pixels with a
reading within one pixel of the truth, the same of all readings, pixels that only one eye sees and that have no reading, pixels
whose layer is the true one; how far the depth moves between orientations; and how far matching in blocks widens things, in pixels
of the matched view.
"""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daemon.contract.messages import Limits
from pipeline.depth import photo as stored_depth
from pipeline.depth import stereo
from pipeline.image import decode
from pipeline.image.auxiliary import beside
from pipeline.layers.layering import layer_picture
from tests.carriers import heic_files, phone_files, second_readers, stereo_scenes
from tests.unit.pictures import encoded, exif, stored

LIMITS = Limits(max_bytes=10**8, max_pixels=10**7)
Samples = NDArray[Any]
HEIGHT, WIDTH, SCALE = 252, 336, 5.25  # the stored picture is 64 × 48, as much smaller than the photo as an iPhone's
BOX = (60.0, 200.0, 50.0, 180.0)  # top, bottom, left and right edge in the photo: not in the middle, and of no symmetry
LOW, HIGH, NEAR, FAR = 0.5, 2.5, 0.4, 2.0
OFFSET_BAR, RIGHT_BAR, LAYERS_BAR = 0.5, 0.8, 0.9
EQUAL_BAR = 0.02
"""Two decoders of JPEG may differ by one step of 255; of a distance, that is 0.019 of the range of disparity at its near end."""


def covered(shape: tuple[int, int]) -> Samples:
    """How much of each pixel of a picture of this shape the box covers, float (h, w)."""
    sides = []
    for length, whole, (begin, end) in zip(shape, (HEIGHT, WIDTH), (BOX[:2], BOX[2:]), strict=True):
        edges = np.arange(length + 1) * whole / length
        sides.append(np.clip(np.minimum(edges[1:], end) - np.maximum(edges[:-1], begin), 0, None) * length / whole)
    return np.outer(*sides)


def edges(share: Samples) -> Samples:
    """The box's top, bottom, left and right edge as fractions of the frame, from how much each pixel is covered."""
    found = []
    for plane, whole, (begin, end), (first, last) in (
        (share, HEIGHT, BOX[:2], (BOX[2] / WIDTH, BOX[3] / WIDTH)),
        (share.T, WIDTH, BOX[2:], (BOX[0] / HEIGHT, BOX[1] / HEIGHT)),
    ):
        inner = slice(round((0.65 * first + 0.35 * last) * plane.shape[1]), round((0.35 * first + 0.65 * last) * plane.shape[1]))
        profile = plane[:, inner].mean(axis=1)
        middle = round((begin + end) / 2 / whole * len(profile))
        found += [(middle - profile[:middle].sum()) / len(profile), (middle + profile[middle:].sum()) / len(profile)]
    return np.array(found)


def offset(share: Samples) -> float:
    """How far the worst edge is from where it is in the photo, in pixels of this picture."""
    frame = np.array([share.shape[0]] * 2 + [share.shape[1]] * 2)
    true = np.array(BOX) / np.array([HEIGHT, HEIGHT, WIDTH, WIDTH])
    return float(np.abs((edges(share) - true) * frame).max())


RGB = np.rint(covered((HEIGHT, WIDTH))[..., None] * [150, -20, -120] + [60, 80, 180]).astype(np.uint8)
SMALL = covered((round(HEIGHT / SCALE), round(WIDTH / SCALE)))
DEPTH = np.rint(40 + 160 * SMALL).astype(np.uint8)
MATTE = np.rint(255 * SMALL).astype(np.uint8)


def in_heic(depth: Samples | None, turn: int, others: dict[str, Samples] | None = None) -> bytes:
    """An iPhone's HEIC; depth and mattes are coded by x265."""
    rgb = stored(RGB, turn)
    coder = second_readers.by_x265
    return heic_files.portrait(rgb, depth, LOW, HIGH, heic_files.TURNS[turn], others, coder=coder)


def apple(kind: str, low: float, high: float) -> Callable[[Samples, int], bytes]:
    """An iPhone's JPEG."""
    return lambda depth, turn: phone_files.iphone(
        stored(RGB, turn), phone_files.apple(kind, depth if kind == "disparity" else 255 - depth, low, high), orientation=turn
    )


def android(write: Callable[..., bytes], form: str, depth_of: Callable[[Samples], Samples] = lambda depth: 255 - depth) -> Any:
    """A JPEG of Google's kinds, in which 0 is near."""
    return lambda depth, turn: write(stored(RGB, turn), depth_of(depth), NEAR, FAR, form, orientation=turn)


#: carrier → how a photo with this depth and turn is written
DEPTHS: dict[str, Callable[[Samples, int], bytes]] = {
    "HEIC, disparity": in_heic,
    "HEIC, disparity beside a gain map": lambda depth, turn: in_heic(depth, turn, {"gain map": 255 - depth}),
    "iPhone JPEG, MPF, disparity": apple("disparity", LOW, HIGH),
    "iPhone JPEG, MPF, depth": apple("depth", NEAR, FAR),
    "GDepth, RangeInverse, extended XMP": android(phone_files.gdepth, "RangeInverse"),
    "GDepth, RangeLinear, extended XMP": android(phone_files.gdepth, "RangeLinear"),
    "GDepth, 16 bits": android(phone_files.gdepth, "RangeInverse", lambda depth: (255 - depth).astype(np.uint16) * 257),
    "Dynamic Depth, RangeInverse": android(phone_files.dynamic_depth, "RangeInverse"),
    "Dynamic Depth, RangeLinear": android(phone_files.dynamic_depth, "RangeLinear"),
}


def jpeg_with_mattes(mattes: dict[str, Samples], turn: int) -> bytes:
    """An iPhone's JPEG with mattes."""
    others = [phone_files.apple(heic_files.URNS[shown].decode(), matte) for shown, matte in mattes.items()]
    return phone_files.iphone(stored(RGB, turn), *others, orientation=turn)


def _read(folder: Path, name: str, data: bytes) -> tuple[bytes, decode.Photo]:
    path = folder / name
    path.write_bytes(data)
    photo = decode.read(os.fsencode(path), limits=LIMITS)
    assert np.abs(photo.rgb.astype(int) - RGB).mean() < 3, f"{name} is not upright"
    return os.fsencode(path), photo


def depth_rows(folder: Path, *, second: bool) -> list[str]:
    """Print a row per carrier of depth; return what misses a bar."""
    missed = []
    print(f"{'carrier':36s} {'max':>8s} {'mean':>8s}  near is bright  worst offset")
    for carrier, write in DEPTHS.items():
        is_heic = carrier.startswith("HEIC")
        apart, bright, worst = [], True, 0.0
        for turn in range(1, 9):
            data = write(stored(DEPTH, turn), turn)
            path, photo = _read(folder, "photo.heic" if is_heic else "photo.jpg", data)
            found = stored_depth.read(path, photo=photo, limits=LIMITS)
            assert found is not None, carrier
            if second:
                other = second_readers.depth_in_heic(data) if is_heic else second_readers.depth_in_jpeg(data, turn)
                apart.append(np.abs(found.disparity - other) / np.ptp(other))
            values = found.depth_map().values.astype(float)
            inside, outside = values[SMALL == 1].mean(), values[SMALL == 0].mean()
            bright &= bool(inside > outside + 0.5)
            # Distance and inverse distance are mixed differently at an edge, so only disparity that is linear says where it is.
            values = 1 / found.disparity if "Linear" in carrier or "MPF, depth" in carrier else found.disparity
            inside, outside = values[SMALL == 1].mean(), values[SMALL == 0].mean()
            worst = max(worst, offset((values - outside) / (inside - outside)))
        equal = (max(each.max() for each in apart), np.mean([each.mean() for each in apart])) if second else (np.nan, np.nan)
        print(f"{carrier:36s} {equal[0]:8.5f} {equal[1]:8.5f}  {'yes' if bright else 'NO':14s}  {worst:.3f}")
        if equal[0] > EQUAL_BAR or not bright or worst > OFFSET_BAR:
            missed.append(carrier)
    return missed


def matte_rows(folder: Path, *, second: bool) -> list[str]:
    """The same for the mattes; their differences are fractions of 255."""
    missed = []
    names = ("portrait", "hair", "skin", "sky")
    for form in ("HEIC", "JPEG"):
        apart: dict[str, list[float]] = {name: [] for name in names}
        worst = dict.fromkeys(names, 0.0)
        for turn in range(1, 9):
            mattes = {name: stored(MATTE if name != "sky" else 255 - MATTE, turn) for name in names}
            data = in_heic(None, turn, mattes) if form == "HEIC" else jpeg_with_mattes(mattes, turn)
            path, photo = _read(folder, f"photo.{form.lower()}", data)
            found = beside.mattes(path, photo=photo, limits=LIMITS)
            others: dict[str, Samples] = {}
            if second:
                others = second_readers.mattes_in_heic(data) if form == "HEIC" else second_readers.mattes_in_jpeg(data, turn)
            for name in names:
                matte = found[name].astype(float) / 255
                if second:
                    other = others[heic_files.URNS[name].decode().rpartition(":")[2]]
                    apart[name].append(float(np.abs(matte - other / 255).max()))
                worst[name] = max(worst[name], offset(1 - matte if name == "sky" else matte))
        for name in names:
            difference = max(apart[name], default=float("nan"))
            print(f"{form + ', matte: ' + name:36s} {difference:8.5f} {'':8s}  {'–':14s}  {worst[name]:.3f}")
            if difference > EQUAL_BAR or worst[name] > OFFSET_BAR:
                missed.append(f"{form}, matte: {name}")
    return missed


def spatial(left: Samples, right: Samples, turn: int) -> tuple[str, bytes]:
    """A spatial photo, turned by its properties."""
    return "photo.heic", heic_files.spatial(left, right, extra=heic_files.TURNS[turn])


def mpo(left: Samples, right: Samples, turn: int) -> tuple[str, bytes]:
    """A stereo camera's file, turned by EXIF."""
    return "photo.mpo", phone_files.stereo_mpo(left, right, orientation=turn)


def side_by_side(left: Samples, right: Samples, turn: int) -> tuple[str, bytes]:
    """Both views in one picture, named."""
    pair = stored(np.concatenate([left, right], axis=1), turn)
    return "photo.sbs.jpg", encoded(pair, "JPEG", quality=92, exif=exif(turn))


def shift_of(found: Samples, truth: Samples, valid: NDArray[np.bool_]) -> float:
    """The shift in pixels, across or down, that brings a disparity nearest to the truth by its mean absolute difference."""
    from scipy.ndimage import shift

    steps = np.arange(-1.5, 1.51, 0.1)
    inner = np.s_[4:-4, 4:-4]
    best = []
    for axis in (0, 1):
        costs = []
        for step in steps:
            moved = shift(truth, (step, 0) if axis == 0 else (0, step), order=1, mode="nearest")
            costs.append(np.minimum(np.abs(found - moved), 2)[inner][valid[inner]].mean())
        best.append(abs(float(steps[int(np.argmin(costs))])))
    return max(best)


def stereo_rows(folder: Path) -> list[str]:
    """Print a row per carrier of stereo pairs; return what misses a bar."""
    missed = []
    print(f"\n{'stereo, at all orientations':36s} within 1 px  of readings  holes marked  layers agree  moves  widens")
    left, right, truth, visible = stereo_scenes.pair(256, 352, seed=1)
    scaled = ((truth - truth.min()) / np.ptp(truth)).astype(np.float32)
    true_layers = layer_picture(left, None, scaled, None, num_layers=4).labels
    for carrier, write in {"spatial HEIC": spatial, "MPO": mpo, "side by side, named": side_by_side}.items():
        lowest, worst, wide, first = np.ones(4), 0.0, 0.0, None
        for turn in range(1, 9):
            name, data = write(left, right, turn)
            path = folder / name
            path.write_bytes(data)
            photo = decode.read(os.fsencode(path), limits=LIMITS)
            found = stereo.read(os.fsencode(path), photo=photo, limits=LIMITS)
            assert found is not None
            assert found.valid is not None
            back = (lambda plane: plane) if write is side_by_side else (lambda plane, turn=turn: stored(plane, turn))
            values, valid = back(found.values), back(found.valid)
            low, high = truth[valid].min(), truth[valid].max()
            pixels = low + values * (high - low)
            right_ones = valid & (np.abs(pixels - truth) <= 1)
            labels = layer_picture(photo.rgb, None, found.values, found.valid, num_layers=4).labels
            agree = np.mean(back(labels) == true_layers)
            numbers = (right_ones.mean(), right_ones.sum() / valid.sum(), (~valid)[~visible].mean(), agree)
            lowest = np.minimum(lowest, numbers)
            first = (pixels, valid) if first is None else first
            worst = max(worst, shift_of(pixels, first[0], valid & first[1]))
            wide = max(wide, shift_of(pixels, truth, valid))
        print(f"{carrier:36s} " + "  ".join(f"{each:>11.1%}" for each in lowest) + f"  {worst:5.1f}  {wide:6.1f}")
        if lowest[0] < RIGHT_BAR or lowest[3] < LAYERS_BAR or worst > OFFSET_BAR:
            missed.append(carrier)
    return missed


def no_depth_rows(folder: Path) -> list[str]:
    """What is no depth: a gain map alone, in HEIC and JPEG."""
    gain = phone_files.apple(heic_files.URNS["gain map"].decode(), MATTE)
    missed = []
    for name, data in (
        ("photo.heic", in_heic(None, 1, {"gain map": MATTE})),
        ("photo.jpg", phone_files.iphone(RGB, gain)),
    ):
        path, photo = _read(folder, name, data)
        found = stored_depth.read(path, photo=photo, limits=LIMITS), beside.mattes(path, photo=photo, limits=LIMITS)
        print(f"{'gain map alone, ' + name:36s} {'taken for depth or a matte' if found != (None, {}) else 'no depth, no matte'}")
        missed += [name] if found != (None, {}) else []
    return missed


def main() -> None:
    """Print the tables; fail below a bar."""
    lacking = second_readers.missing()
    if "ffmpeg" in lacking:
        print("carriers: left out, because ffmpeg, which codes the pictures, is not installed")
        return
    if lacking:
        print(f"carriers: not compared with another reader, because {' and '.join(lacking)} is not installed")
    with tempfile.TemporaryDirectory(prefix="multiplane-bench-") as place:
        folder = Path(place)
        missed = depth_rows(folder, second=not lacking)
        missed += matte_rows(folder, second=not lacking)
        missed += no_depth_rows(folder)
        missed += stereo_rows(folder)
    if missed:
        raise SystemExit("carriers: below the bar: " + "; ".join(missed))


if __name__ == "__main__":
    main()
