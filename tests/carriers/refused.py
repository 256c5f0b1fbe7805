"""Writes one file of every kind that Finder shows and this program refuses.

`python -m tests.carriers.refused` prints the table of what people are told.
"""

import io
import os
import struct
import sys
import tempfile
import zipfile

import numpy as np

from tests.carriers import heic_files, jxl_files, raw_files
from tests.unit.pictures import encoded, landscape

RGB = landscape(16, 24)


def _zipped(**files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(name.replace("__", "/").replace("_dot_", "."), data)
    return buffer.getvalue()


def _tiff(samples, **options):
    import tifffile

    buffer = io.BytesIO()
    tifffile.imwrite(buffer, samples, **options)
    return buffer.getvalue()


def _jpeg_frame(marker, bits=8):
    data = bytearray(encoded(RGB, "JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 1], data[at + 4] = marker, bits
    return bytes(data)


def _psd(mode=3, bits=8, channels=3, resources=b"", compression=0):
    head = struct.pack(">4sH6xHIIHH", b"8BPS", 1, channels, 16, 24, bits, mode)
    pixels = bytes(channels * 16 * 24 * max(bits, 8) // 8)
    return head + bytes(4) + struct.pack(">I", len(resources)) + resources + bytes(4) + struct.pack(">H", compression) + pixels


def _box_file(brand):
    return heic_files.box(b"ftyp", brand, bytes(4), brand) + heic_files.box(b"mdat", bytes(100))


#: what it is → (name, bytes)
KINDS = {
    "JPEG XL animation": ("photo.jxl", jxl_files.jxl(landscape(41, 59), animation=True)),
    "JPEG XL in unknown colours": ("photo.jxl", jxl_files.jxl(landscape(41, 59), (jxl_files.P3, jxl_files.DCI))),
    "JPEG 2000": ("photo.jp2", encoded(RGB, "JPEG2000")),
    "JPEG 2000, bare": ("photo.j2k", b"\xff\x4f\xff\x51" + bytes(60)),
    "JPEG XR": ("photo.jxr", b"II\xbc\x01" + bytes(60)),
    "OpenEXR": ("photo.exr", b"\x76\x2f\x31\x01" + bytes(60)),
    "Radiance HDR": ("photo.hdr", b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n" + bytes(60)),
    "Targa": ("photo.tga", encoded(RGB, "TGA")),
    "DDS": ("photo.dds", b"DDS " + bytes(124)),
    "QOI": ("photo.qoi", b"qoif" + bytes(60)),
    "Windows icon": ("photo.ico", b"\0\0\1\0\1\0" + bytes(60)),
    "Windows cursor": ("photo.cur", b"\0\0\2\0\1\0" + bytes(60)),
    "Mac icon": ("photo.icns", b"icns\0\0\1\0" + bytes(60)),
    "PPM": ("photo.ppm", encoded(RGB, "PPM")),
    "PFM": ("photo.pfm", b"PF\n24 16\n-1.0\n" + bytes(16 * 24 * 12)),
    "PCX": ("photo.pcx", encoded(RGB, "PCX")),
    "SGI": ("photo.sgi", encoded(RGB, "SGI")),
    "FITS": ("photo.fits", b"SIMPLE  =                    T".ljust(2880)),
    "DICOM": ("photo.dcm", bytes(128) + b"DICM" + bytes(60)),
    "Mac PICT": ("photo.pict", bytes(522) + b"\x00\x11\x02\xff\x0c\x00" + bytes(60)),
    "Windows metafile": ("photo.emf", struct.pack("<II", 1, 108) + bytes(32) + b" EMF" + bytes(60)),
    "SVG": ("photo.svg", b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>"),
    "PDF": ("photo.pdf", encoded(RGB, "PDF")),
    "PostScript": ("photo.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n"),
    "EPS with a preview": ("photo.eps", b"\xc5\xd0\xd3\xc6" + bytes(60)),
    "GIMP": ("photo.xcf", b"gimp xcf v011\0" + bytes(60)),
    "Krita": ("photo.kra", _zipped(mimetype="application/x-krita")),
    "OpenRaster": ("photo.ora", _zipped(mimetype="image/openraster")),
    "Affinity": ("photo.afphoto", b"\x00\xffKA" + bytes(60)),
    "Procreate": ("photo.procreate", _zipped(Document_dot_archive="x")),
    "Sketch or Figma": ("photo.sketch", _zipped(document_dot_json="{}")),
    "Word document": ("photo.docx", _zipped(word__document_dot_xml="x")),
    "ZIP archive": ("photo.zip", _zipped(a_dot_jpg=b"x")),
    "gzip archive": ("photo.gz", b"\x1f\x8b\x08" + bytes(60)),
    "7-Zip archive": ("photo.7z", b"7z\xbc\xaf\x27\x1c" + bytes(60)),
    "RAR archive": ("photo.rar", b"Rar!\x1a\x07\x01\0" + bytes(60)),
    "HEIC sequence": ("photo.heics", _box_file(b"hevc")),
    "AVCI": ("photo.heic", _box_file(b"avci")),
    "FLIF": ("photo.flif", b"FLIF" + bytes(60)),
    "BPG": ("photo.bpg", b"BPG\xfb" + bytes(60)),
    "DjVu": ("photo.djvu", b"AT&TFORM" + bytes(60)),
    "Clip Studio": ("photo.clip", b"CSFCHUNK" + bytes(60)),
    "InDesign": ("photo.indd", bytes.fromhex("0606edf5d81d46e5bd31efe7fe74b71d") + bytes(60)),
    "CorelDRAW": ("photo.cdr", b"RIFF\x40\0\0\0CDR9" + bytes(60)),
    "old Office document": ("photo.jpg", bytes.fromhex("d0cf11e0a1b11ae1") + bytes(60)),
    "QuickTime film without a type": ("photo.jpg", heic_files.box(b"moov", bytes(60)) + heic_files.box(b"mdat", bytes(60))),
    "Windows Media": ("photo.wmv", bytes.fromhex("3026b2758e66cf11") + bytes(60)),
    "MP4 sound": ("photo.m4a", _box_file(b"M4A ")),
    "Windows shortcut": ("photo.jpg", bytes.fromhex("4c0000000114020000000000") + bytes(60)),
    "UTF-16 text": ("photo.jpg", "words".encode("utf-16")),
    "database": ("photo.jpg", b"SQLite format 3\0" + bytes(60)),
    "Illustrator's SVG": ("photo.jpg", b"<?xml version='1.0'?>\n<!-- Generator: <Adobe> -->\n<svg xmlns='x'/>"),
    "web page with a comment": ("photo.jpg", b"<!-- saved from x -->\n<html>"),
    "XHTML": ("photo.jpg", b"<?xml version='1.0'?><!DOCTYPE html PUBLIC 'x'><html/>"),
    "property list as text": ("photo.jpg", b"<?xml version='1.0'?>\n<!DOCTYPE plist PUBLIC 'x'>\n<plist/>"),
    "QuickTime film": ("photo.mov", heic_files.box(b"ftyp", b"qt  ", bytes(4), b"qt  ") + bytes(60)),
    "MP4 film": ("photo.mp4", _box_file(b"isom")),
    "Matroska film": ("photo.mkv", b"\x1a\x45\xdf\xa3" + bytes(60)),
    "AVI film": ("photo.avi", b"RIFF\x40\0\0\0AVI LIST" + bytes(60)),
    "WAV sound": ("photo.wav", b"RIFF\x40\0\0\0WAVEfmt " + bytes(60)),
    "MP3 sound": ("photo.mp3", b"ID3\x04\0\0\0\0\0\0" + bytes(60)),
    "text": ("photo.txt", b"just words\n"),
    "rich text": ("photo.rtf", rb"{\rtf1\ansi words}"),
    "web page": ("photo.html", b"<!doctype html><p>words"),
    "property list": ("photo.plist", b"bplist00" + bytes(60)),
    "Finder alias": ("photo.jpg", b"book\0\0\0\0mark" + bytes(60)),
    "AppleDouble": ("photo.jpg", b"\0\x05\x16\x07\0\x02\0\0" + bytes(60)),
    "program of a Mac": ("photo.jpg", b"\xcf\xfa\xed\xfe" + bytes(60)),
    "program of Linux": ("photo.jpg", b"\x7fELF" + bytes(60)),
    "zeros": ("photo.jpg", bytes(200)),
    "camera raw with a small preview": ("photo.nef", raw_files.nikon(encoded(RGB, "JPEG"), 6000, 4000)),
    "camera raw without a preview": ("photo.x3f", b"FOVb" + bytes(60)),
    "lossless JPEG": ("photo.jpg", _jpeg_frame(0xC3)),
    "hierarchical JPEG": ("photo.jpg", _jpeg_frame(0xC5)),
    "JPEG of 12 bits": ("photo.jpg", _jpeg_frame(0xC1, 12)),
    "TIFF of floats": ("photo.tif", _tiff(np.zeros((8, 8, 3), np.float32), photometric="rgb")),
    "TIFF of half floats": ("photo.tif", _tiff(np.zeros((8, 8, 3), np.float16), photometric="rgb")),
    "TIFF with signs": ("photo.tif", _tiff(np.zeros((8, 8), np.int16), photometric="minisblack")),
    "TIFF of 32 bits": ("photo.tif", _tiff(np.zeros((8, 8), np.uint32), photometric="minisblack")),
    "TIFF in Lab of 16 bits": ("photo.tif", _tiff(np.zeros((8, 8, 3), np.uint16), photometric="cielab")),
    "TIFF of CMYK with alpha, 16 bits": (
        "photo.tif", _tiff(np.zeros((8, 8, 5), np.uint16), photometric="separated", extrasamples=["unassalpha"]),
    ),
    "TIFF of CMYK with alpha": (
        "photo.tif", _tiff(np.zeros((8, 8, 5), np.uint8), photometric="separated", extrasamples=["unassalpha"]),
    ),
    "TIFF with five channels": (
        "photo.tif", _tiff(np.zeros((8, 8, 5), np.uint8), photometric="rgb", extrasamples=["unspecified", "unspecified"]),
    ),
    "BigTIFF, the high byte first": ("photo.tif", _tiff(np.zeros((8, 8, 3), np.uint8), bigtiff=True, byteorder=">")),
    "PSD of 32 bits": ("photo.psd", _psd(bits=32)),
    "PSD in multichannel mode": ("photo.psd", _psd(mode=7)),
    "PSD in bitmap mode": ("photo.psd", _psd(mode=0, bits=1, channels=1)),
    "PSD in Lab of 16 bits": ("photo.psd", _psd(mode=9, bits=16)),
    "PSD without a merged picture": (
        "photo.psd", _psd(resources=b"8BIM" + struct.pack(">HHI", 1057, 0, 5) + b"\0\0\0\1\0\0"),
    ),
    "PSD in ZIP compression": ("photo.psd", _psd(compression=2)),
}  # fmt: skip


def told(name, data):
    """What somebody is told who drops this file: the error, or None if it is read."""
    from daemon.contract.messages import Limits
    from daemon.errors import JobError
    from pipeline.image import decode

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, name)
        with open(path, "wb") as file:
            file.write(data)
        try:
            decode.read(os.fsencode(path), limits=Limits(max_bytes=10**8, max_pixels=10**8))
        except JobError as error:
            return error
    return None


def table():
    """The table, in Markdown: what was dropped, what the inbox says of its name, and what a worker says of its content."""
    from daemon.intake.kinds import unread
    from daemon.intake.names import classify

    lines = ["| dropped | in the inbox | once it is taken | what to do |", "|---|---|---|---|"]
    for kind, (name, data) in KINDS.items():
        role = classify(name.encode(), in_inbox=True).role
        waits = {
            "image": "is taken",
            "raw": "waits for a YAML file of its own",
            "companion": "is left alone",
            "sidecar": "is a sidecar",
            "other": unread.reason(name),
        }.get(role, role)
        error = told(name, data)
        said = "is read" if error is None else f"`{error.code}` {error.message}"
        lines.append(f"| {kind}, `{name}` | {waits} | {said} | {'' if error is None else error.info().hint} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(table() + "\n")
