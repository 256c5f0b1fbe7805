"""Names of the layers, and of the files in result/."""

import re

#: In UTF-8 bytes: names on all common file systems may have 255, and the longest fixed part has fewer than 40.
_LONGEST_PREFIX = 120
#: What Windows forbids in names, control characters, and bytes that are not UTF-8.
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"/\\|?*\ud800-\udfff]+')


def layer_names(count: int) -> tuple[str, ...]:
    """Names of the layers, back to front: `Layer 1 background`, `Layer 2 midground` … `Layer N foreground`.

    From ten layers on, numbers have two digits, so that programs that sort by characters keep the order.

    Raises:
        ValueError: fewer than two layers.
    """
    if count < 2:
        raise ValueError(f"a stack has at least two layers, not {count}")
    roles = ("background", *["midground"] * (count - 2), "foreground")
    digits = len(str(count))
    return tuple(f"Layer {number:0{digits}} {role}" for number, role in enumerate(roles, 1))


def layer_files(count: int, prefix: str = "") -> tuple[str, ...]:
    """File names of the layers, back to front: `Layer_1_background.png` … `Layer_N_foreground.png`, after the prefix.

    Raises:
        ValueError: fewer than two layers.
    """
    return tuple(f"{prefix}{name.replace(' ', '_')}.png" for name in layer_names(count))


def prefix_of(title: str) -> str:
    """What the names of a result's files begin with under `naming: photo`: the photo's name and an underscore.

    Characters that Windows forbids in names become underscores, dots and blanks at the beginning are left out, and long names
    are cut.
    """
    clean = _FORBIDDEN.sub("_", title).lstrip(". ")
    cut = clean.encode()[:_LONGEST_PREFIX].decode(errors="ignore").rstrip()
    return f"{cut or 'photo'}_"
