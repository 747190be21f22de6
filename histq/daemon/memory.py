"""How much freed memory a process of many threads keeps."""

import contextlib
import ctypes
from typing import Final

M_ARENA_MAX: Final = -8
"""https://man7.org/linux/man-pages/man3/mallopt.3.html"""

ARENAS: Final = 2


def keep_little() -> None:
    """For before the first thread is started; where the C library is another than glibc, nothing.

    glibc gives threads up to eight arenas a core, each of which keeps what its hungriest job ever
    needed: a daemon grew for an hour, by half, and with two arenas it stands still after minutes.
    """
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, ARENAS)
