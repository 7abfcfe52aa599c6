"""A program compiled where only small gaps of the address space are free near each other.

CUDA reserves address space in this manner. Run as a script, since the wrong linker aborts.
"""

import ctypes
import mmap

import kinematics

GIGABYTE = 2**30
PAGE = 4096
NO_RESERVE, NO_REPLACE = 0x4000, 0x100000  # of Linux


def scatter(gap: int) -> None:
    """Leave one gap of so many bytes, 4 GB from any larger one; smaller ones stay as they are."""
    libc = ctypes.CDLL(None)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *3 * [ctypes.c_int], ctypes.c_long]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | NO_RESERVE

    start = libc.mmap(None, 8 * GIGABYTE, 0, private, -1, 0)
    with open("/proc/self/maps") as maps:
        taken = [[int(x, 16) for x in line.split()[0].split("-")] for line in maps]
    end = start
    for low, high in taken:
        if low - end >= gap and low > start and low < 2**47:
            libc.mmap(end, low - end, 0, private | NO_REPLACE, -1, 0)
        end = max(end, high)
    libc.munmap(start + 4 * GIGABYTE, gap - PAGE)


if __name__ == "__main__":
    tree = kinematics.random_tree(20, branching=0.3, seed=0, kinds=("revolute",))
    q = kinematics.random_state(tree, 5, seed=0)[0]
    expected = kinematics.crba(tree, q)
    scatter(2**14)  # the constants fit, the code does not
    found = kinematics.compile(tree, "crba", order="traced")(q)
    print(float((found - expected).abs().max() / expected.abs().max()))
