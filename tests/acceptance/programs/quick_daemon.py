"""The daemon as `multiplane run` starts it, with the quick worker and with shorter pauses where no setting has them.

Usage: quick_daemon.py HOME
"""

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path

from loguru import logger

import daemon.service.service as service_module
from daemon.errors import Refusal
from daemon.fs import LocalFiles
from daemon.settings import load

WORKER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "quick_worker.py")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("home", type=Path)
    chosen = parser.parse_args()
    logger.remove()
    logger.add(sys.stderr, level="INFO", format="{time:HH:mm:ss.SSS} {level: <7} {message}")
    service_module.HEALTH_SECONDS = 0.3
    try:
        service = service_module.Service(load(chosen.home, os.environ), LocalFiles(), argv=(sys.executable, "-I", "-S", WORKER))
    except Refusal as refusal:
        logger.critical("{} {}", refusal.message, refusal.hint)
        return refusal.exit_status
    folder = service._folder
    rules = replace(folder._memory.rules, batch_farewell=1.5, empty_hold=2.0, empty_sidecar_hold=1.0, outside_pause=0.3)
    folder._memory = replace(folder._memory, rules=rules)
    return service.run()


if __name__ == "__main__":
    sys.exit(main())
