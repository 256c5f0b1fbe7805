"""Returns freed memory to the system."""

import ctypes

# malloc.h of glibc: M_MMAP_THRESHOLD, and its initial value of 128 KiB.
_M_MMAP_THRESHOLD = -3
_LARGE = 128 * 1024


def give_back_large_blocks() -> None:
    """Return every large block to the system as soon as it is freed.

    By default, glibc returns only blocks above a certain size, and raises that size, up to 32 MiB, each time a large block is
    freed (mallopt(3)). When very many files arrive, tables are replaced again and again as they grow, and the memory of the old
    ones would never be returned. With other C libraries, this does nothing.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE)
