"""Reads a second time what phones store beside a photo, with nothing of the program: to compare its numbers.

HEIC: the boxes by the text of the standards (ISO/IEC 14496-12, 23008-12), the pictures by ffmpeg's HEVC decoder. JPEG: the
structure and the XMP by ExifTool, the pictures by ffmpeg. Turns are applied as in EXIF's table (CIPA DC-008, 4.6.4 A) and as HEIF
describes `irot` and `imir`.
"""

import base64
import json
import shutil
import struct
import subprocess

import numpy as np

PROGRAMS = ("ffmpeg", "exiftool")


def missing():
    """The programs that are not installed."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


def _run(*command, data):
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout


def decoded(data, form):
    """The brightness of a picture by ffmpeg, uint8 or uint16 (h, w). `form`: hevc (a byte stream), mjpeg or png_pipe."""
    pgm = _run("ffmpeg", "-v", "error", "-f", form, "-i", "pipe:0", "-frames:v", "1", "-f", "image2pipe", "-c:v", "pgm", "pipe:1",
               data=data)  # fmt: skip
    _, size, top, samples = pgm.split(b"\n", 3)
    width, height = map(int, size.split())
    return np.frombuffer(samples, np.uint8 if int(top) < 256 else ">u2").reshape(height, width)


def by_x265(grey, _):
    """A grey picture as x265 writes it without loss, for `heic_files.heic`."""
    size = f"{grey.shape[1]}x{grey.shape[0]}"
    stream = _run(
        *("ffmpeg", "-v", "error", "-f", "rawvideo", "-pix_fmt", "gray", "-s", size, "-i", "pipe:0"),
        *("-c:v", "libx265", "-x265-params", "lossless=1:log-level=none", "-f", "hevc", "pipe:1"),
        data=grey.tobytes(),
    )
    units = [unit.rstrip(b"\0") for unit in stream.split(b"\0\0\1")[1:]]
    kinds = [unit[0] >> 1 for unit in units]
    return [units[kinds.index(kind)] for kind in (32, 33, 34)], [
        unit for unit, kind in zip(units, kinds, strict=True) if kind < 32
    ]


def by_exif(samples, orientation):
    """A stored picture as it is shown."""
    return {
        1: samples,
        2: np.fliplr(samples),
        3: np.rot90(samples, 2),
        4: np.flipud(samples),
        5: samples.T,
        6: np.rot90(samples, -1),
        7: np.rot90(samples, 2).T,
        8: np.rot90(samples),
    }[orientation]


class Boxes:
    """A HEIC file: `items`, number → (type, properties, data); `auxiliary`, the numbers of the pictures beside the main one."""

    def __init__(self, data):
        top = dict(_boxes(data))
        meta = dict(_boxes(top[b"meta"][4:]))
        main = int.from_bytes(meta[b"pitm"][4:], "big")
        kinds = self._kinds(meta[b"iinf"])
        properties = self._properties(dict(_boxes(meta[b"iprp"])))
        places = self._places(data, meta)
        self.items = {number: (kind, properties.get(number, []), places[number]) for number, kind in kinds.items()}
        self.auxiliary = []
        for kind, body in _boxes(meta[b"iref"][4:]) if b"iref" in meta else ():
            wide = "I" if meta[b"iref"][0] else "H"
            size = struct.calcsize(wide)
            source, count = struct.unpack_from(f">{wide}H", body)
            targets = struct.unpack_from(f">{count}{wide}", body, size + 2)
            if kind == b"auxl" and main in targets:
                self.auxiliary.append(source)

    @staticmethod
    def _kinds(iinf):
        found = {}
        for kind, body in _boxes(iinf[6 if iinf[0] == 0 else 8 :]):
            assert kind == b"infe"
            number, at = (struct.unpack_from(">H", body, 4)[0], 8) if body[0] == 2 else (struct.unpack_from(">I", body, 4)[0], 10)
            found[number] = body[at : at + 4]
        return found

    @staticmethod
    def _properties(iprp):
        listed, table = list(_boxes(iprp[b"ipco"])), iprp[b"ipma"]
        at, found = 8, {}
        for _ in range(struct.unpack_from(">I", table, 4)[0]):
            number = int.from_bytes(table[at : at + (4 if table[0] else 2)], "big")
            at += 4 if table[0] else 2
            count, at = table[at], at + 1
            size, mask = (2, 0x7FFF) if table[3] & 1 else (1, 0x7F)
            indices = [int.from_bytes(table[at + size * n : at + size * (n + 1)], "big") & mask for n in range(count)]
            found[number] = [listed[index - 1] for index in indices if index]
            at += size * count
        return found

    @staticmethod
    def _places(data, meta):
        iloc, idat, at = meta[b"iloc"], meta.get(b"idat", b""), 6
        offset, length, base, index = iloc[4] >> 4, iloc[4] & 15, iloc[5] >> 4, iloc[5] & 15

        def number(size):
            nonlocal at
            at += size
            return int.from_bytes(iloc[at - size : at], "big")

        found = {}
        for _ in range(number(4 if iloc[0] == 2 else 2)):
            item = number(4 if iloc[0] == 2 else 2)
            method = number(2) & 15 if iloc[0] else 0
            number(2)
            start, parts = number(base), b""
            for _ in range(number(2)):
                if iloc[0] and index:
                    number(index)
                begin = start + number(offset)
                size = number(length)
                parts += (data, idat)[method][begin : begin + size]
            found[item] = parts
        return found

    def pictures(self):
        """Type, what its `auxC` adds, and the samples as shown, of each picture beside the main one that is in one piece."""
        for number in self.auxiliary:
            kind, properties, data = self.items[number]
            if kind != b"hvc1":
                continue
            urn, _, subtypes = dict(properties)[b"auxC"][4:].partition(b"\0")
            yield urn.decode(), subtypes, self._shown(properties, data)

    @staticmethod
    def _shown(properties, data):
        configuration = dict(properties)[b"hvcC"]
        stream, at = [], 23
        for _ in range(configuration[22]):
            count, at = struct.unpack_from(">H", configuration, at + 1)[0], at + 3
            for _ in range(count):
                (size,) = struct.unpack_from(">H", configuration, at)
                stream.append(configuration[at + 2 : at + 2 + size])
                at += 2 + size
        size, at = (configuration[21] & 3) + 1, 0
        while at < len(data):
            length = int.from_bytes(data[at : at + size], "big")
            stream.append(data[at + size : at + size + length])
            at += size + length
        samples = decoded(b"".join(b"\0\0\0\1" + unit for unit in stream), "hevc")
        for kind, body in properties:
            if kind == b"irot":
                samples = np.rot90(samples, body[0] & 3)  # anticlockwise
            elif kind == b"imir":
                samples = np.fliplr(samples) if body[0] & 1 else np.flipud(samples)
        return samples


def _boxes(data):
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1:
            size, head = struct.unpack_from(">Q", data, at + 8)[0], 16
        size = size or len(data) - at
        yield kind, data[at + head : at + size]
        at += size


def _representation(subtypes):
    """Type and bounds in a depth representation information message (H.265, G.14.2.6): (type, {name: bound})."""
    (size,) = struct.unpack_from(">I", subtypes, 4)
    unit = subtypes[8 : 8 + size].replace(b"\0\0\3", b"\0\0")
    assert (unit[0] >> 1, unit[2]) == (39, 177)
    digits = "".join(f"{byte:08b}" for byte in unit[4 : 4 + unit[3]])
    at = 0

    def u(count):
        nonlocal at
        at += count
        return int(digits[at - count : at] or "0", 2)

    def ue():
        zeros = digits.index("1", at) - at
        u(zeros)
        return u(zeros + 1) - 1

    named = [name for name in ("z_near", "z_far", "d_min", "d_max") if u(1)]
    kind = ue()
    if "d_min" in named or "d_max" in named:
        ue()
    bounds = {}
    for name in named:
        sign, exponent, length = u(1), u(7), u(5) + 1
        share = u(length) / 2**length
        bounds[name] = (-1) ** sign * (2.0 ** (exponent - 31) * (1 + share) if exponent else 2.0**-30 * share)
    return kind, bounds


def depth_in_heic(data):
    """The disparity beside a HEIC photo, float (h, w) in the file's unit, as shown; None if there is none."""
    for urn, subtypes, samples in Boxes(data).pictures():
        if urn in ("urn:mpeg:hevc:2015:auxid:2", "urn:mpeg:mpegB:cicp:systems:auxiliary:depth"):
            kind, bounds = _representation(subtypes)
            assert kind == 1
            return bounds["d_min"] + samples / 255 * (bounds["d_max"] - bounds["d_min"])
    return None


def mattes_in_heic(data):
    """The pictures beside a HEIC photo by the last part of their types."""
    return {urn.rpartition(":")[2]: samples for urn, _, samples in Boxes(data).pictures()}


def _said(data, *tags):
    return json.loads(_run("exiftool", "-j", "-b", "-a", *tags, "-", data=data))[0]


def _bytes(text):
    return base64.b64decode(text.removeprefix("base64:"))


def _others(data):
    """The further pictures of a multi-picture file, and the XMP of each."""
    said = _said(data, "-MPF:all")
    for number in range(2, said.get("NumberOfImages", 1) + 1):
        other = _bytes(said[f"MPImage{number}"])
        yield other, _said(other, "-XMP:all")


def depth_in_jpeg(data, orientation):
    """The disparity beside a JPEG photo, float (h, w) in 1/m, as shown; None if there is none."""
    found = _stored_depth(data)
    return None if found is None else by_exif(found, orientation)


def _stored_depth(data):
    for other, about in _others(data):
        kind = str(about.get("AuxiliaryImageType")).lower()
        if kind in ("disparity", "depth") and "AuxiliaryImageSubType" not in about:
            low, high = about["FloatMinValue"], about["FloatMaxValue"]
            value = low + decoded(other, "mjpeg") / 255 * (high - low)
            return value if kind == "disparity" else 1 / value
    about = _said(data, "-XMP:all")
    if "DepthImage" in about:
        samples = decoded(_bytes(about["DepthImage"]), "png_pipe")
        return _ranged(samples / np.iinfo(samples.dtype).max, about["Format"], about["Near"], about["Far"])
    if "DepthMapDepthURI" in about:
        uris, sizes = about["ContainerDirectoryItemDataURI"], about["ContainerDirectoryItemLength"]
        paddings = about["ContainerDirectoryItemPadding"]
        number = uris.index(about["DepthMapDepthURI"])
        at = len(data) - sum(sizes[number:]) - sum(paddings[number:])
        samples = decoded(data[at : at + sizes[number]], "mjpeg")
        return _ranged(samples / 255, about["DepthMapFormat"], about["DepthMapNear"], about["DepthMapFar"])
    return None


def _ranged(share, form, near, far):
    """Disparity of numbers from 0 (near) to 1 (far), by the equations of Google's depth map metadata."""
    distance = near + share * (far - near) if form == "RangeLinear" else far * near / (far - share * (far - near))
    return 1 / distance


def mattes_in_jpeg(data, orientation):
    """The mattes of a multi-picture file by the last part of their types, as shown."""
    found = {}
    for other, about in _others(data):
        kind = str(about.get("AuxiliaryImageSubType", about.get("AuxiliaryImageType", ""))).rpartition(":")[2]
        found[kind] = by_exif(decoded(other, "mjpeg"), orientation)
    return found
