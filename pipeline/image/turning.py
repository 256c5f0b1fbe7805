"""Turns pictures upright."""

from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

Samples = TypeVar("Samples", bound=np.generic)

_FLIPS = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}  # OpenCV's flip codes; 5 to 8 are transposed first
#: orientation → the one that undoes it.
UNDO = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}


def upright(pixels: NDArray[Samples], orientation: int) -> NDArray[Samples]:
    """Apply an EXIF orientation (CIPA DC-008, 4.6.4 A).

    Args:
        pixels: (H, W) or (H, W, C), any dtype.
        orientation: 1 to 8; anything else means 1.

    Returns:
        The same array for 1, otherwise a C-contiguous copy; (W, H, …) for 5 to 8.
    """
    if orientation not in range(2, 9):
        return pixels
    turned: NDArray[Any] = pixels.view(np.uint8) if pixels.dtype == np.bool_ else pixels
    if orientation >= 5:
        turned = cv2.transpose(turned)
    if orientation in _FLIPS:
        turned = cv2.flip(turned, _FLIPS[orientation])
    return turned.view(pixels.dtype)
