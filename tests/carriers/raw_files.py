"""Writes camera raw files byte by byte, as far as this program reads them: the structure around the JPEG previews."""

import struct

from tests.carriers.heic_files import box, full_box

SHORT, LONG, BYTES = 3, 4, 7


def tiff(directories, blobs, *, order="<", mark=None):
    """A TIFF of directories {tag: (type, [values])}.

    A value that is a string stands for a blob's position, or "#n" for that of directory n. The key "next" chains directories. A
    blob of the type `BYTES` is the tag's value itself.
    """
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] if mark is None else mark
    places, at = {}, 8
    for number, tags in enumerate(directories):
        places[f"#{number}"] = at
        entries = [tag for tag in tags if tag != "next"]
        at += 2 + 12 * len(entries) + 4
        for tag in entries:
            kind, values = tags[tag]
            size = (2 if kind == SHORT else 4) * len(values)
            if size > 4:
                places[number, tag] = at
                at += size
    for name, data in blobs.items():
        places[name] = at
        at += len(data)
    out = head + struct.pack(order + "I", 8)
    for number, tags in enumerate(directories):
        entries = sorted(tag for tag in tags if tag != "next")
        out += struct.pack(order + "H", len(entries))
        behind = b""
        for tag in entries:
            kind, values = tags[tag]
            numbers = [places[each] if isinstance(each, str) else each for each in values]
            data = struct.pack(f"{order}{len(numbers)}{'H' if kind == SHORT else 'I'}", *numbers)
            if kind == BYTES:
                out += struct.pack(order + "HHII", tag, kind, len(blobs[values[0]]), numbers[0])
            elif len(data) > 4:
                out += struct.pack(order + "HHII", tag, kind, len(numbers), places[number, tag])
                behind += data
            else:
                out += struct.pack(order + "HHI", tag, kind, len(numbers)) + data.ljust(4, b"\0")
        out += struct.pack(order + "I", places[f"#{tags['next']}"] if "next" in tags else 0) + behind
    return out + b"".join(blobs.values())


def size_of(jpeg):
    import io

    from PIL import Image

    return Image.open(io.BytesIO(jpeg)).size


def nikon(jpeg, width, height, *, orientation=1, order=">", colours=1):
    """NEF and most others: a thumbnail first, the preview and the raw picture in sub-directories."""
    first = {
        254: (LONG, [1]),
        256: (LONG, [16]),
        257: (LONG, [12]),
        274: (SHORT, [orientation]),
        330: (LONG, ["#1", "#2"]),
        34665: (LONG, ["#3"]),
    }
    preview = {254: (LONG, [1]), 259: (SHORT, [6]), 513: (LONG, ["jpeg"]), 514: (LONG, [len(jpeg)])}
    raw = {254: (LONG, [0]), 256: (LONG, [width]), 257: (LONG, [height]), 259: (SHORT, [34713]), 262: (SHORT, [32803])}
    return tiff([first, preview, raw, {40961: (SHORT, [colours])}], {"jpeg": jpeg}, order=order)


def dng(jpeg, width, height, *, orientation=1, colours=2):
    """DNG: a thumbnail, the raw picture, and a preview of one strip."""
    wide, high = size_of(jpeg)
    first = {
        254: (LONG, [1]),
        256: (LONG, [16]),
        257: (LONG, [12]),
        274: (SHORT, [orientation]),
        330: (LONG, ["#1", "#2"]),
        50706: (LONG, [0x01040000]),
    }
    raw = {254: (LONG, [0]), 256: (LONG, [width]), 257: (LONG, [height]), 259: (SHORT, [7]), 262: (SHORT, [32803])}
    preview = {
        254: (LONG, [1]), 256: (LONG, [wide]), 257: (LONG, [high]), 259: (SHORT, [7]), 262: (SHORT, [6]), 273: (LONG, ["jpeg"]),
        279: (LONG, [len(jpeg)]), 50970: (LONG, [colours]),
    }  # fmt: skip
    return tiff([first, raw, preview], {"jpeg": jpeg})


def canon_cr2(jpeg, width, height, *, orientation=1):
    """CR2: the full-size JPEG is the first directory's strip, a small one and the lossless raw data follow."""
    wide, high = size_of(jpeg)
    lossless = b"\xff\xd8\xff\xc3\0\x0b\x0e" + struct.pack(">HH", height, width // 2) + b"\2\1\x11\0\xff\xd9"
    first = {
        256: (SHORT, [wide]),
        257: (SHORT, [high]),
        259: (SHORT, [6]),
        273: (LONG, ["jpeg"]),
        274: (SHORT, [orientation]),
        279: (LONG, [len(jpeg)]),
        "next": 1,
    }
    raw = {259: (SHORT, [6]), 273: (LONG, ["raw"]), 279: (LONG, [len(lossless)])}
    data = tiff([first, raw], {"jpeg": jpeg, "raw": lossless})
    # The mark of a CR2 stands between the header and the first directory, which begins at 16.
    moved = tiff_moved(data, 8)
    return moved[:8] + b"CR\2\0" + bytes(4) + moved[8:]


def tiff_moved(data, by):
    """A TIFF whose positions all count `by` bytes more (for a gap after its header). Only for positions of this module."""
    out = bytearray(data)
    at = struct.unpack_from("<I", out, 4)[0]
    struct.pack_into("<I", out, 4, at + by)
    while at:
        (count,) = struct.unpack_from("<H", out, at)
        for place in range(at + 2, at + 2 + 12 * count, 12):
            tag, kind, length, value = struct.unpack_from("<HHII", out, place)
            if tag == 273 or length * (2 if kind == SHORT else 4) > 4:
                struct.pack_into("<I", out, place + 8, value + by)
        place = at + 2 + 12 * count
        (at,) = struct.unpack_from("<I", out, place)
        if at:
            struct.pack_into("<I", out, place, at + by)
    return bytes(out)


def panasonic(jpeg, width, height, *, orientation=1):
    """RW2: the sensor's size and the JPEG in tags of the maker's own."""
    return tiff(
        [{2: (SHORT, [height]), 3: (SHORT, [width]), 0x2E: (BYTES, ["jpeg"]), 274: (SHORT, [orientation])}],
        {"jpeg": jpeg},
        mark=b"IIU\0",
    )


def fujifilm(jpeg, width, height, *, orientation=1):
    """RAF. The JPEG's own EXIF data has the orientation."""
    listed = struct.pack(">IHHHH", 1, 0x100, 4, height, width)
    head = b"FUJIFILMCCD-RAW 0201FF389501".ljust(84, b"\0")
    at = len(head) + 16 + 8
    return head + struct.pack(">IIII", at, len(jpeg), at + len(jpeg), len(listed)) + bytes(8) + jpeg + listed


def canon_cr3(jpeg, width, height, *, orientation=1):
    """CR3: an ISO base media file whose first track holds the full-size JPEG."""
    exif = tiff([{274: (SHORT, [orientation])}], {})

    def moov(at):
        tracks = b""
        for wide, high, size in ((*size_of(jpeg), len(jpeg)), (width, height, 1000)):
            entry = box(b"CRAW", bytes(6), struct.pack(">H", 1), bytes(16), struct.pack(">HH", wide, high), bytes(50))
            table = box(
                b"stbl",
                full_box(b"stsd", struct.pack(">I", 1), entry),
                full_box(b"stsz", struct.pack(">II", size, 1)),
                full_box(b"co64", struct.pack(">IQ", 1, at)),
            )
            tracks += box(b"trak", box(b"mdia", box(b"minf", table)))
        return box(b"moov", box(b"uuid", bytes.fromhex("85c0b687820f11e08111f4ce462b6a48"), box(b"CMT1", exif)), tracks)

    ftyp = box(b"ftyp", b"crx ", bytes(4), b"crx isom")
    return ftyp + moov(len(ftyp) + len(moov(0)) + 8) + box(b"mdat", jpeg)
