"""Cards that CUDA could run on, as their driver tells; nothing of CUDA itself need be installed."""

import ctypes
import sys

__all__ = ["count_cards"]

_DRIVER = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"


def count_cards() -> int:
    """How many the driver shows this process, as ``CUDA_VISIBLE_DEVICES`` has it; 0 where there is no driver.

    https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__DEVICE.html
    """
    try:
        driver = ctypes.CDLL(_DRIVER)
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
        return 0
    return count.value
