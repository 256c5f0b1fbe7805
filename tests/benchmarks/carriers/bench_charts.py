"""A colour chart in every declared colour space and each container that carries it: ΔE2000 between its colours and the result's.

Run: python -m tests.benchmarks.carriers.bench_charts
The chart's true colours follow from the formulas in `tests.unit.image.charts`, applied to the numbers that are stored. The
result's are what lcms makes of the decoded picture and its profile. A JPEG's numbers are
those that Pillow finds. H.273 has no numbers for Adobe RGB; instead, PNG has gAMA and cHRM, and a camera's JPEG has EXIF.
"""

import io
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image
from skimage.color import deltaE_ciede2000

from daemon.contract.messages import Limits
from pipeline.image import decode
from pipeline.image.colour import cicp, icc
from tests.unit.image import charts
from tests.unit.image.test_declared import cicp_chunk, gama, iccp_of
from tests.unit.image.test_declared_heif import avif_of, heic
from tests.unit.pictures import encoded, exif, png16

LIMITS = Limits(max_bytes=10**8, max_pixels=10**7)
BAR = 1.0
Samples = NDArray[Any]
ADOBE = cicp.Space(cicp.ADOBE_RGB, cicp.Curve(563 / 256), "Adobe RGB")


def _in_srgbs_curve(coded: Samples) -> Samples:
    return np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)


def _in_bt709s_curve(coded: Samples) -> Samples:
    return np.where(coded < 0.0812428583, coded / 4.5, ((coded + 0.0992968268) / 1.0992968268) ** (1 / 0.45))


def _inverse(coded_of: Callable[[Samples], Samples]) -> Callable[[Samples], Samples]:
    """The inverse of a rising function of one number, 0 to 1, by a table."""
    light = np.linspace(0, 1, 1 << 18) ** 3
    coded = np.clip(coded_of(light), 0, 1)
    return lambda numbers: np.interp(numbers, coded, light)


def _hlg(light: Samples) -> Samples:
    return charts.hlg(light * 203, charts.LUMINANCE_2020)


#: name → (numbers of H.273, profile, the gamut of the chart, the space's matrix, light → numbers, numbers → light)
SPACES: dict[str, tuple[Any, ...]] = {
    "P3": ((12, 13), icc.profile_of(cicp.P3), charts.P3_TO_XYZ, charts.P3_TO_XYZ, charts.srgb, _in_srgbs_curve),
    "BT.2020": (
        (9, 14), icc.profile_of(cicp.space_of(9, 14)[0]), charts.P3_TO_XYZ, charts.BT2020_TO_XYZ, charts.bt709, _in_bt709s_curve,
    ),
    "Adobe RGB": (
        None, icc.profile_of(ADOBE), charts.SRGB_TO_XYZ, charts.ADOBE_TO_XYZ,
        lambda light: light ** (256 / 563), lambda coded: coded ** (563 / 256),
    ),
    "PQ": (
        (9, 16), charts.profile_with_numbers(9, 16), charts.P3_TO_XYZ, charts.BT2020_TO_XYZ,
        lambda light: charts.pq(light * 203), _inverse(lambda light: charts.pq(light * 203)),
    ),
    "HLG": ((9, 18), charts.profile_with_numbers(9, 18), charts.P3_TO_XYZ, charts.BT2020_TO_XYZ, _hlg, None),
    "gamma 1.0": (
        (9, 8), icc.profile_of(cicp.space_of(9, 8)[0]), charts.P3_TO_XYZ, charts.BT2020_TO_XYZ,
        lambda light: light, lambda coded: coded,
    ),
}  # fmt: skip


def files(name: str, numbers: Samples) -> dict[tuple[str, str], tuple[bytes, Samples]]:
    """(how it is declared, container) → the file, and the numbers in it, 0 to 1, one per square."""
    by_numbers, profile = SPACES[name][:2]
    squares = numbers.repeat(16, axis=0).repeat(16, axis=1)
    deep, ten, eight = (
        np.rint(squares * top).astype(kind) for top, kind in ((65535, np.uint16), (1023, np.uint16), (255, np.uint8))
    )
    middle = np.s_[7::16, 7::16]
    exact = {16: deep[middle] / 65535, 10: ten[middle] / 1023, 8: eight[middle] / 255}
    found = {}
    if by_numbers is not None:
        found["CICP", "PNG"] = png16(deep, extra=cicp_chunk(*by_numbers)), exact[16]
        found["CICP", "HEIC"] = heic(ten, by_numbers), exact[10]
        found["CICP", "AVIF"] = avif_of(ten, by_numbers), exact[10]
    tiff = io.BytesIO()
    tifffile.imwrite(tiff, deep, photometric="rgb", iccprofile=profile)
    found["ICC", "PNG"] = png16(deep, extra=iccp_of(profile)), exact[16]
    found["ICC", "HEIC"] = heic(ten, profile), exact[10]
    found["ICC", "AVIF"] = avif_of(ten, profile), exact[10]
    found["ICC", "TIFF"] = tiff.getvalue(), exact[16]
    found["ICC", "WebP"] = encoded(eight, "WEBP", lossless=True, exact=True, icc_profile=profile), exact[8]
    jpeg = encoded(eight, "JPEG", quality=100, subsampling=0, icc_profile=profile)
    in_jpeg = np.asarray(Image.open(io.BytesIO(jpeg)))[middle] / 255
    found["ICC", "JPEG"] = jpeg, in_jpeg
    if name == "Adobe RGB":
        tags = exif(1)
        tags._ifds[0x8769] = {0xA001: 2}
        found["gAMA, cHRM", "PNG"] = png16(deep, extra=gama(256 / 563, cicp.ADOBE_RGB)), exact[16]
        found["EXIF", "JPEG"] = encoded(eight, "JPEG", quality=100, subsampling=0, exif=tags), in_jpeg
    if name == "gamma 1.0":
        found["gAMA, cHRM", "PNG"] = png16(deep, extra=gama(1.0, cicp.BT2020)), exact[16]
    return found


def main() -> None:
    """Print the table; fail above the bar."""
    missed = []
    print(f"{'space':10s} {'declared by':11s} {'in':5s} {'mean':>6s} {'max':>6s}  profile of the layers")
    with tempfile.TemporaryDirectory(prefix="multiplane-bench-") as place:
        for name, (_, _, gamut, to_xyz, coded, light_of) in SPACES.items():
            xyz = charts.chart(gamut)
            light = np.clip(xyz @ np.linalg.inv(to_xyz).T, 0, 1)
            for (how, container), (data, numbers) in files(name, np.clip(coded(light), 0, 1)).items():
                path = Path(place) / f"photo.{container.lower()}"
                path.write_bytes(data)
                photo = decode.read(os.fsencode(path), limits=LIMITS)
                seen = charts.by_lcms(photo)[7::16, 7::16]
                # HLG numbers depend on all three channels; there, the chart itself is the truth.
                truth = xyz if light_of is None else light_of(numbers) @ to_xyz.T
                apart = deltaE_ciede2000(charts.lab(truth), seen)
                print(f"{name:10s} {how:11s} {container:5s} {apart.mean():6.3f} {apart.max():6.2f}  {photo.profile}")
                if apart.mean() > BAR:
                    missed.append(f"{name} by {how} in {container}: {apart.mean():.2f}")
    if missed:
        raise SystemExit("charts: above the bar: " + "; ".join(missed))


if __name__ == "__main__":
    main()
