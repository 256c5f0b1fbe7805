"""How freed memory goes back to the system."""

import ctypes

# malloc.h of glibc: M_MMAP_THRESHOLD, and the 128 KiB that it begins with.
_M_MMAP_THRESHOLD = -3
_LARGE = 128 * 1024


def give_back_large_blocks() -> None:
    """Let every large block go back to the system when it is freed.

    glibc raises the size from which it does so with every large block that is freed, up to 32 MiB (mallopt(3)). The tables of a
    flood of files, replaced again and again as they grow, would stay behind as holes. Other C libraries have no such limit, and
    nothing is done.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE)
