"""Decides which kinds of TIFF are read, and says why another kind is refused.

Every kind that is not listed is refused, because the program could not notice that the decoded pixels are wrong.
"""

from pipeline.image.tiff.directory import (
    ALPHA,
    CMYK,
    COLOURS,
    FLOAT,
    LAB,
    MIN_IS_BLACK,
    MIN_IS_WHITE,
    PALETTE,
    PREMULTIPLIED,
    RGB,
    SIGNED,
    UNSIGNED,
    YCBCR,
    Kind,
)

MOSAIC, LINEAR_RAW = 32803, 34892  # what a camera's sensor measured
_MEANINGS = {4: "a transparency mask", 9: "ICC Lab", 10: "ITU Lab"}
_JPEG = 7
_FAX = (2, 3, 4)
_LOSSLESS = (1, 5, 8, 32946, 32773, 34925, 50000)  # none, LZW, deflate (new, old number), PackBits, LZMA, Zstandard

_CMYK_ALPHA = "is a CMYK TIFF with transparency, which is not read"


def refusal(this: Kind, *, numbers: bool) -> str | None:
    """Why a kind of TIFF is not read, as the rest of a sentence that begins with the file's name; None if it is read.

    Args:
        this: the kind.
        numbers: the file is read as plain numbers (a depth picture), so any bit depth, signed and floating-point samples are
            allowed.
    """
    if this.photometric not in COLOURS and (this.photometric is not None or this.bits != 1):
        if this.photometric is None:
            return "is a TIFF that does not say what its numbers mean (no PhotometricInterpretation)"
        return f"is a TIFF of {_MEANINGS.get(this.photometric, f'photometric interpretation {this.photometric}')}, not of colours"
    if this.bits == 0 or this.sample_format not in (UNSIGNED, SIGNED, FLOAT):
        return "is a TIFF whose channels are of several kinds or of a kind that is not read"
    colours = COLOURS[this.photometric or MIN_IS_WHITE]
    if this.channels != colours + len(this.extra) and not (this.photometric == RGB and (this.channels, this.extra) == (4, ())):
        return f"is a TIFF with {this.channels} channels, {colours} of them colours, and does not say what the others are"
    return _deep_refusal(this, numbers=numbers) if this.deep else _shallow_refusal(this)


def _deep_refusal(this: Kind, *, numbers: bool) -> str | None:
    """`refusal` for what `tiff` decodes."""
    if this.sample_format == FLOAT:
        known = this.bits in (16, 32, 64)
    else:
        known = this.bits in (8, 16, 32) or (this.sample_format == UNSIGNED and 8 < this.bits < 16)
    if not known:
        return f"has {this.bits} bits per channel, which is not read"
    if not numbers and this.sample_format != UNSIGNED:
        what = "numbers with a sign" if this.sample_format == SIGNED else "floating-point numbers"
        return f"is a TIFF of {what} ({this.bits} bits per channel); only pictures of whole numbers without a sign are layered"
    if not numbers and this.bits > 16:
        return f"has {this.bits} bits per channel; only pictures with 8 or 16 bits are layered"
    if this.compression not in _LOSSLESS:
        return f"is a TIFF with {this.bits} bits per channel in compression {this.compression}, which is not read"
    if this.predictor not in ((1, 2, 3) if this.sample_format == FLOAT else (1, 2)) or (
        this.predictor == 2 and 8 < this.bits < 16
    ):
        return f"is a TIFF with {this.bits} bits per channel and predictor {this.predictor}, which is not read"
    if this.reversed_bits:
        return f"is a TIFF with {this.bits} bits per channel in bytes that are turned around (FillOrder 2), which is not read"
    if this.photometric not in (MIN_IS_WHITE, MIN_IS_BLACK, RGB, CMYK):
        what = {PALETTE: "palette", YCBCR: "YCbCr"}.get(this.photometric or 0, "Lab")
        return f"is a {what} TIFF with {this.bits} bits per channel, which is not read"
    if this.photometric == MIN_IS_WHITE and (this.sample_format != UNSIGNED or this.has_alpha):
        return "is a TIFF in which white is 0, with a sign, floating point or transparency, which is not read"
    if this.photometric == CMYK and this.has_alpha:
        return _CMYK_ALPHA
    return None


def _shallow_refusal(this: Kind) -> str | None:
    """`refusal` for what Pillow decodes."""
    if this.bits not in (1, 2, 4, 8):
        return f"has {this.bits} bits per channel, which is not read"
    if this.bits < 8 and this.channels > 1:
        return f"is a TIFF with {this.channels} channels of {this.bits} bits, which is not read"
    if this.compression == _JPEG:
        fits = this.bits == 8 and not this.separate and this.photometric in (MIN_IS_BLACK, RGB, YCBCR) and not this.extra
    elif this.compression in _FAX:
        fits = this.bits == 1 and this.photometric in (None, MIN_IS_WHITE, MIN_IS_BLACK)
    else:
        fits = this.compression in _LOSSLESS and this.photometric != YCBCR
    if not fits:
        return f"is a TIFF in compression {this.compression} with colours that are not read in it"
    if this.reversed_bits and (this.bits == 8 or this.tile):
        return "is a TIFF in bytes that are turned around (FillOrder 2), which is not read"
    if this.predictor not in (1, 2) or (this.predictor == 2 and this.bits != 8):
        return f"is a TIFF with {this.bits} bits per channel and predictor {this.predictor}, which is not read"
    return _channels_refusal(this)


def _channels_refusal(this: Kind) -> str | None:
    """`refusal` because of the channels, for what Pillow decodes."""
    whole = {
        MIN_IS_WHITE: ((),),
        MIN_IS_BLACK: ((), (0,), (PREMULTIPLIED,), (ALPHA,)),
        RGB: ((), (0,), (PREMULTIPLIED,), (ALPHA,), (ALPHA, 0), (PREMULTIPLIED, 0)),
        CMYK: ((), (0,)),
    }
    apart = {RGB: ((), (ALPHA,)), CMYK: ((),), LAB: ()}  # Pillow drops the signs of Lab
    allowed = (apart if this.separate else whole).get(this.photometric or MIN_IS_WHITE, ((),))
    unsaid = this.separate and this.channels > COLOURS[this.photometric or MIN_IS_WHITE] and not this.extra
    if this.photometric == CMYK and this.has_alpha:
        return _CMYK_ALPHA
    if this.extra not in allowed or unsaid:
        return "is a TIFF with further channels of a kind that is not read"
    return None
