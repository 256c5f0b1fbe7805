"""Running without root's right to read every file, whoever runs the tests."""

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator

import pytest

#: From linux/capability.h: version 3 of the structures, which have 64 bits; CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH.
_VERSION, _READS_EVERYTHING = 0x20080522, 1 << 1 | 1 << 2


@contextlib.contextmanager
def unprivileged() -> Iterator[None]:
    """Run this thread with the rights of its user alone: root is then the owner of its files, and no more.

    Another user would not do in root's place: root's interpreter may lie where nobody else may read.
    """
    if os.geteuid() != 0:
        yield
        return
    if sys.platform != "linux":
        pytest.skip("only Linux takes single rights from root")
    libc = ctypes.CDLL(None, use_errno=True)
    header, before = (ctypes.c_uint32 * 2)(_VERSION, 0), (ctypes.c_uint32 * 6)()
    assert libc.capget(header, before) == 0
    effective, *others = before
    assert libc.capset(header, (ctypes.c_uint32 * 6)(effective & ~_READS_EVERYTHING, *others)) == 0
    try:
        yield
    finally:
        assert libc.capset(header, before) == 0
