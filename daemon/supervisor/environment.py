"""The environment of a worker: a short list of what it may know, and switches that keep it offline and repeatable."""

import os
from collections.abc import Mapping

#: Variables copied from the daemon: where programs and the home are, the language, and which graphics cards to use.
_PASSED = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH")
_PASSED_PREFIX = "LC_"

#: Jobs open no network connection (promise 6). Each library has its own switch for that.
_OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    # Workers use no pydantic plugins, and searching for them would read the metadata of every installed package.
    "PYDANTIC_DISABLE_PLUGINS": "__all__",
}

#: Makes glibc use pages of 2 MB where the system has them (its manual, "Memory Allocation Tunables"; other C libraries ignore
#: it). A worker grows to its full size once. With pages of 4 KB it asks for memory about 30,000 times, which takes a tenth of
#: the time of a small photo.
_LARGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}

#: OpenMP, MKL, OpenBLAS, Accelerate and numexpr read these once, at import. They are set together so that their pools do not
#: multiply.
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS")

#: Threads of a network's pass that wait for the others sleep. By default they spin. While another program, such as the next
#: worker's imports, needs the core, that cost a third more processor time (4.5 s instead of 3.3 s for a pass). Alone on the
#: machine, a pass takes a tenth longer this way.
_WAITING_SLEEPS = {"OMP_WAIT_POLICY": "passive"}


def worker_environment(outer: Mapping[str, str], *, tmp: bytes, threads: int) -> dict[str, str]:
    """The environment for a worker whose temporary folder is `tmp`, made from the daemon's own."""
    kept = {key: value for key, value in outer.items() if key in _PASSED or key.startswith(_PASSED_PREFIX)}
    fixed = {
        "TMPDIR": os.fsdecode(tmp),
        # Libraries keep caches in the home folder, which a worker cannot read. These are removed with the attempt.
        "HF_HOME": os.path.join(os.fsdecode(tmp), "huggingface"),
        "XDG_CACHE_HOME": os.path.join(os.fsdecode(tmp), "cache"),
        # The order of sets of strings depends on this: the same job must give the same bytes (promise 5).
        "PYTHONHASHSEED": "0",
        # A line printed just before a crash must reach job.log.
        "PYTHONUNBUFFERED": "1",
    }
    return kept | _OFFLINE | _LARGE_PAGES | _WAITING_SLEEPS | dict.fromkeys(_THREADS, str(threads)) | fixed
