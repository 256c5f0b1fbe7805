"""Applies USD's compliance rules as its program `usdchecker` does: PYTHON usd_rules.py [--arkit] SCENE….

Prints a JSON object: what each scene breaks, by its path. It runs in an environment of its own, see `test_usd_rules.py`.
"""

import json
import sys

from pxr import UsdUtils


def broken(path: str, *, arkit: bool) -> list[str]:
    """Errors, failed checks and warnings, in words. `arkit`: by the stricter rules for AR Quick Look, too."""
    checker = UsdUtils.ComplianceChecker(
        arkit=arkit,
        skipARKitRootLayerCheck=False,
        rootPackageOnly=False,
        skipVariants=False,
        verbose=False,
        assetLevelChecks=True,
    )
    checker.CheckCompliance(path)
    return [*checker.GetErrors(), *checker.GetFailedChecks(), *checker.GetWarnings()]


if __name__ == "__main__":
    scenes = [word for word in sys.argv[1:] if word != "--arkit"]
    print(json.dumps({scene: broken(scene, arkit="--arkit" in sys.argv) for scene in scenes}))
