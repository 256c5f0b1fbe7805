"""Builds the environment of a worker: a few of the daemon's variables, and switches that keep it offline and repeatable."""

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

#: How glibc allocates memory (see "Memory Allocation Tunables" in its manual); other C libraries ignore this. By default, every
#: large array comes fresh from the system, which clears it, and goes back when it is freed: 75,000 page faults and a tenth of the
#: processor time of a 12-megapixel job, a fifth where borders are long. So arrays of up to 1 GB come from the heap, the heap is
#: never trimmed, since a worker does one job and ends, and all threads use the same heap, since only the first can be that large.
#: `hugetlb` asks for pages of 2 MB where the system has them: a page fault each instead of 512.
_ALLOCATION = {
    "GLIBC_TUNABLES": ":".join(
        f"glibc.malloc.{name}={value}"
        for name, value in {"hugetlb": 1, "mmap_threshold": 1 << 30, "trim_threshold": 1 << 40, "arena_max": 1}.items()
    )
}

#: OpenMP, MKL, OpenBLAS, Accelerate and numexpr read these once, at import. They are set together so that their pools do not
#: multiply.
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS")

#: Lets threads that wait for other threads of a model's pass sleep instead of spin. While another program needed the core, such
#: as the imports of the next worker, spinning cost a third more processor time (4.5 s instead of 3.3 s for a pass). If nothing
#: else runs, a pass takes a tenth longer with sleeping threads.
_WAITING_SLEEPS = {"OMP_WAIT_POLICY": "passive"}


def worker_environment(outer: Mapping[str, str], *, tmp: bytes, threads: int) -> dict[str, str]:
    """The environment for a worker, made from the daemon's own. `tmp`: the worker's temporary folder."""
    kept = {key: value for key, value in outer.items() if key in _PASSED or key.startswith(_PASSED_PREFIX)}
    fixed = {
        "TMPDIR": os.fsdecode(tmp),
        # By default, libraries keep caches in the home folder, which a worker cannot read. These are removed with the attempt.
        "HF_HOME": os.path.join(os.fsdecode(tmp), "huggingface"),
        "XDG_CACHE_HOME": os.path.join(os.fsdecode(tmp), "cache"),
        # Fixes the order of sets of strings, because the same job must give the same bytes (promise 5).
        "PYTHONHASHSEED": "0",
        # A line printed just before a crash must reach job.log.
        "PYTHONUNBUFFERED": "1",
    }
    return kept | _OFFLINE | _ALLOCATION | _WAITING_SLEEPS | dict.fromkeys(_THREADS, str(threads)) | fixed
