"""The memory that threads free is not kept by each of them."""

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

# Threads that hold memory at the same time, so that each would get an arena of its own, and then
# the C library's own count of them.
PROGRAM = """
import ctypes, sys, threading
from histq.daemon.memory import keep_little
if sys.argv[1] == "kept":
    keep_little()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.fopen.restype = ctypes.c_void_p
all_there = threading.Barrier(6)
def work():
    libc.malloc(ctypes.c_size_t(50_000))
    all_there.wait()
threads = [threading.Thread(target=work) for _ in range(6)]
for one in threads:
    one.start()
for one in threads:
    one.join()
told = libc.fopen(sys.argv[2].encode(), b"w")
libc.malloc_info(0, ctypes.c_void_p(told))
libc.fclose(ctypes.c_void_p(told))
"""


def arenas(tmp_path: Path, how: str) -> int:
    told = tmp_path / how
    subprocess.run([sys.executable, "-c", PROGRAM, how, str(told)], check=True)
    return told.read_text().count("<heap ")


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_info"), reason="arenas are glibc's")
def test_six_threads_share_two_arenas(tmp_path: Path) -> None:
    assert arenas(tmp_path, "left") > 2
    assert arenas(tmp_path, "kept") == 2
