"""Sizes as people read them: decimal, as disks are sold and file managers show them."""

_UNITS = (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3))


def size(count: int) -> str:
    """A number of bytes for people, with two significant digits."""
    for unit, least in _UNITS:
        if count >= 0.995 * least:
            return f"{count / least:.1f} {unit}" if count < 9.95 * least else f"{count / least:,.0f} {unit}"
    return f"{count} bytes"
