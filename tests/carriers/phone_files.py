"""Writes photos as phones write them, byte by byte: a JPEG with depth and mattes in each of the carriers that are read."""

import base64
import struct

import numpy as np

from tests.unit.pictures import encoded, exif

RDF = 'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
APDI = "http://ns.apple.com/pixeldatainfo/1.0/"
GDEPTH = "http://ns.google.com/photos/1.0/depthmap/"
DD = "http://ns.google.com/photos/dd/1.0/"


def packet(body, namespaces=""):
    """An XMP packet with this content."""
    return (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF {RDF}><rdf:Description rdf:about="" {namespaces}>'
        f"{body}</rdf:Description></rdf:RDF></x:xmpmeta>"
    ).encode()


def segment(marker, data):
    """A header segment of a JPEG."""
    return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data


def with_segments(jpeg, *segments):
    """The JPEG with further header segments, behind its first one."""
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


def standard_xmp(data):
    """An APP1 segment with an XMP packet."""
    return segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + data)


def extended_xmp(data, guid=b"0123456789ABCDEF0123456789ABCDEF", part=65_000):
    """APP1 segments with an extended XMP packet."""
    head = b"http://ns.adobe.com/xmp/extension/\0" + guid
    starts = range(0, len(data), part)
    return [segment(0xE1, head + struct.pack(">II", len(data), at) + data[at : at + part]) for at in starts]


def multi_picture(first, others, order=">", kinds=(0x030000, 0)):
    """A multi-picture file (CIPA DC-007): the first picture gets the index, the others follow it.

    `kinds`: the types of the first picture and of the others.
    """
    count = 1 + len(others)
    mark = b"MM\0*" if order == ">" else b"II*\0"
    directory = struct.pack(order + "IH", 8, 3)
    entries_at = 8 + 2 + 3 * 12 + 4
    directory += struct.pack(order + "HHI4s", 0xB000, 7, 4, b"0100")
    directory += struct.pack(order + "HHII", 0xB001, 4, 1, count)
    directory += struct.pack(order + "HHII", 0xB002, 7, 16 * count, entries_at) + bytes(4)
    size = len(b"MPF\0") + 4 + len(directory) + 16 * count
    whole = len(first) + size + 4
    base = 2 + 4 + len(b"MPF\0")  # the index is the first segment
    entries, at = struct.pack(order + "IIIHH", kinds[0], whole, 0, 0, 0), whole
    for other in others:
        entries += struct.pack(order + "IIIHH", kinds[1], len(other), at - base, 0, 0)
        at += len(other)
    return with_segments(first, segment(0xE2, b"MPF\0" + mark + directory + entries)) + b"".join(others)


def apple(kind, samples, low=None, high=None, subtype=None, **options):
    """A further picture of an iPhone's JPEG, grey, with XMP that says what it is."""
    about = {"AuxiliaryImageType": kind, "AuxiliaryImageSubType": subtype, "FloatMinValue": low, "FloatMaxValue": high}
    body = "".join(f"<apdi:{name}>{value}</apdi:{name}>" for name, value in about.items() if value is not None)
    return with_segments(encoded(samples, "JPEG", quality=95, **options), standard_xmp(packet(body, f'xmlns:apdi="{APDI}"')))


def iphone(rgb, *others, orientation=1, order=">"):
    """An iPhone's portrait as JPEG."""
    return multi_picture(encoded(rgb, "JPEG", quality=95, exif=exif(orientation)), others, order)


def stereo_mpo(left, right, *, orientation=1, quality=92, kind=0x020002):
    """A stereo camera's picture (MPO): two views, which the index calls a disparity pair."""
    first = encoded(left, "JPEG", quality=quality, exif=exif(orientation))
    return multi_picture(first, [encoded(right, "JPEG", quality=quality)], kinds=(kind, kind))


def stereo_jpeg(left, right, *, flags=4, layout=2, descriptor=True, quality=92):
    """Two views in one JPEG, with a JPS descriptor. Flag 4: the left view is on the left."""
    views = [left, right] if flags & 4 else [right, left]
    data = encoded(np.concatenate(views, axis=1), "JPEG", quality=quality)
    about = b"_JPSJPS_" + struct.pack(">HBBBB", 4, 0, flags, layout, 1) + struct.pack(">H", 0)
    return with_segments(data, segment(0xE3, about)) if descriptor else data


def gdepth(rgb, samples, near, far, form="RangeInverse", orientation=1, part=65_000, extended=True):
    """A photo with Google's depth map metadata; the depth is a PNG."""
    data = base64.b64encode(encoded(samples, "PNG")).decode()
    about = f'GDepth:Format="{form}" GDepth:Near="{near}" GDepth:Far="{far}" GDepth:Mime="image/png"'
    names = f'xmlns:GDepth="{GDEPTH}" xmlns:xmpNote="http://ns.adobe.com/xmp/note/"'
    photo = encoded(rgb, "JPEG", quality=95, exif=exif(orientation))
    if not extended:
        return with_segments(photo, standard_xmp(packet("", f'{names} {about} GDepth:Data="{data}"')))
    note = 'xmpNote:HasExtendedXMP="0123456789ABCDEF0123456789ABCDEF"'
    more = packet("", f'xmlns:GDepth="{GDEPTH}" GDepth:Data="{data}"')
    return with_segments(photo, standard_xmp(packet("", f"{names} {about} {note}")), *extended_xmp(more, part=part))


def dynamic_depth(rgb, samples, near, far, form="RangeInverse", orientation=1, between=b"", after=b"", wrapped=False):
    """A photo with Dynamic Depth 1.0: another item, then the depth as a JPEG behind it."""
    depth = encoded(samples, "JPEG", quality=95)
    other = b"\xff\xd8an item that nobody decodes\xff\xd9"
    spaces = " ".join(f'xmlns:{name}="{DD}{name.lower()}/"' for name in ("Device", "Container", "Item", "Camera", "DepthMap"))
    items = [("primary_image", 0, len(between)), ("android/other", len(other), 0), ("android/depthmap", len(depth), 0)]
    listed = "".join(
        f'<rdf:li rdf:parseType="Resource"><Container:Item Item:Mime="image/jpeg" Item:Length="{length}" '
        f'Item:Padding="{padding}" Item:DataURI="{uri}"/></rdf:li>'
        for uri, length, padding in items
    )
    about = {"Format": form, "ItemSemantic": "Depth", "Near": near, "Far": far, "DepthURI": "android/depthmap"}
    if wrapped:
        inner = "".join(f"<DepthMap:{name}>{value}</DepthMap:{name}>" for name, value in about.items())
        described = f'<Camera:DepthMap rdf:parseType="Resource">{inner}</Camera:DepthMap>'
        described = f'<rdf:value rdf:parseType="Resource">{described}</rdf:value>'
    else:
        described = "<Camera:DepthMap " + " ".join(f'DepthMap:{name}="{value}"' for name, value in about.items()) + "/>"
    body = (
        f"<Device:Container><Container:Directory><rdf:Seq>{listed}</rdf:Seq></Container:Directory></Device:Container>"
        f'<Device:Cameras><rdf:Seq><rdf:li rdf:parseType="Resource">{described}</rdf:li></rdf:Seq></Device:Cameras>'
    )
    photo = encoded(rgb, "JPEG", quality=95, exif=exif(orientation), progressive=True)
    return with_segments(photo, standard_xmp(packet(body, spaces))) + between + other + depth + after


def slope(height=30, width=40):
    """uint8 (h, w): numbers that rise to the right and downwards, so that every orientation can be recognised."""
    y, x = np.mgrid[:height, :width]
    return (20 + 3 * x + 3 * y).astype(np.uint8)


def renamed_auxiliary(heic, old, new):
    """The HEIC with the type of its auxiliary pictures renamed: all boxes around it grow, and all item offsets move along."""
    data = bytearray(heic)
    grown = len(new) - len(old)
    at = data.index(b"auxC", 0) - 4
    while not data[at + 12 :].startswith(old):
        at = data.index(b"auxC", at + 8) - 4
    start = 0
    for kind in (b"meta", b"iprp", b"ipco"):
        start = data.index(kind, start) - 4
        data[start : start + 4] = struct.pack(">I", struct.unpack_from(">I", data, start)[0] + grown)
        start += 8
    data[at : at + 4] = struct.pack(">I", struct.unpack_from(">I", data, at)[0] + grown)
    iloc = data.index(b"iloc") + 4
    version, sizes = data[iloc], data[iloc + 4 : iloc + 6]
    offset, length, base = sizes[0] >> 4, sizes[0] & 15, sizes[1] >> 4
    (count,) = struct.unpack_from(">H", data, iloc + 6)
    place = iloc + 8
    for _ in range(count):
        method = struct.unpack_from(">H", data, place + 2)[0] & 15 if version else 0
        place += 2 + (2 if version else 0) + 2 + base
        (extents,) = struct.unpack_from(">H", data, place)
        place += 2
        for _ in range(extents):
            if method == 0:
                moved = int.from_bytes(data[place : place + offset], "big") + grown
                data[place : place + offset] = moved.to_bytes(offset, "big")
            place += offset + length
    data[at + 12 : at + 12 + len(old)] = new
    return bytes(data)
