"""The environment of a worker: a short list of what it may know, and switches that keep it offline and repeatable."""

import os
from collections.abc import Mapping

#: What passes from the daemon's environment: where programs and the home are, the language, which graphics cards to use.
_PASSED = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH")
_PASSED_PREFIX = "LC_"

#: Jobs open no network connection (promise 6): each library has a switch of its own.
_OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    # What other packages hook into pydantic has no business in a worker, and finding it reads every installed package's metadata.
    "PYDANTIC_DISABLE_PLUGINS": "__all__",
}

#: glibc asks for pages of 2 MB where the system has them (its manual, "Memory Allocation Tunables"; others do not read it).
#: A worker grows to its full size once: in pages of 4 KB it asks some 30,000 times, a tenth of the time of a small photo.
_LARGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}

#: Read once, at import, by OpenMP, MKL, OpenBLAS, Accelerate and numexpr; set together so that their pools do not multiply.
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS")

#: A thread of a network's pass that waits for the others sleeps: by default it spins, and beside another program that wants the
#: core, such as the next worker's imports, half as much processor time again went into that (4.5 s against 3.3 s for a pass;
#: alone on the machine a pass takes a tenth longer so).
_WAITING_SLEEPS = {"OMP_WAIT_POLICY": "passive"}


def worker_environment(outer: Mapping[str, str], *, tmp: bytes, threads: int) -> dict[str, str]:
    """The environment for a worker whose temporary folder is `tmp`, out of the daemon's own."""
    kept = {key: value for key, value in outer.items() if key in _PASSED or key.startswith(_PASSED_PREFIX)}
    fixed = {
        "TMPDIR": os.fsdecode(tmp),
        # Libraries keep caches below the home folder, which a worker cannot read; these go with the attempt.
        "HF_HOME": os.path.join(os.fsdecode(tmp), "huggingface"),
        "XDG_CACHE_HOME": os.path.join(os.fsdecode(tmp), "cache"),
        # Sets of strings iterate in an order that hangs on this: the same job gives the same bytes (promise 5).
        "PYTHONHASHSEED": "0",
        # A line printed just before a crash must be in job.log.
        "PYTHONUNBUFFERED": "1",
    }
    return kept | _OFFLINE | _LARGE_PAGES | _WAITING_SLEEPS | dict.fromkeys(_THREADS, str(threads)) | fixed
