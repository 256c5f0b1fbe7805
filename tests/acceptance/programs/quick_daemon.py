"""The daemon as `multiplane run` starts it, with the quick worker, and with shorter pauses where no setting exists.

Usage: quick_daemon.py HOME [--real-worker] [--real-settling] [--once]
"""

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path

from loguru import logger

import daemon.running.late_writes as late_writes_module
import daemon.service.loop as service_module
import daemon.views.view_writer as view_writer_module
from daemon.errors import Refusal
from daemon.fs import LocalFiles
from daemon.jobs import decide
from daemon.service import assemble
from daemon.settings import load

WORKER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "quick_worker.py")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("home", type=Path)
    parser.add_argument("--real-worker", action="store_true")
    parser.add_argument("--once", action="store_true")
    parser.add_argument("--real-settling", action="store_true")
    chosen = parser.parse_args()
    logger.remove()
    logger.add(sys.stderr, level="INFO", format="{time:HH:mm:ss.SSS} {level: <7} {message}")
    service_module.HEALTH_SECONDS = 0.3
    view_writer_module._SPACING = 0.1
    late_writes_module._REST_SECONDS = 0.5
    decide.PAUSES = decide.SETTLING_PAUSES = (0.3,) * len(decide.SETTLING_PAUSES)
    try:
        argv = None if chosen.real_worker else (sys.executable, "-I", "-S", WORKER)
        service = assemble(load(chosen.home, os.environ), LocalFiles(), argv=argv)
    except Refusal as refusal:
        logger.critical("{} {}", refusal.message, refusal.hint)
        return refusal.exit_status
    folder = service._folder
    rules = replace(
        folder._memory.rules,
        settle_local=0.3,
        settle_closed=0.3,
        batch_quiet=0.5,
        batch_farewell=0.8,
        empty_hold=1.0,
        empty_sidecar_hold=0.5,
        outside_pause=0.2,
        late_grace=0.5,
    )
    if not chosen.real_settling:
        folder._memory = replace(folder._memory, rules=rules)
    return service.run(once=chosen.once)


if __name__ == "__main__":
    sys.exit(main())
