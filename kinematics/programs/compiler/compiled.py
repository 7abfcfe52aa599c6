"""Compiled programs: machine code for a program, called with numpy arrays or torch tensors."""

from __future__ import annotations

import ctypes
import math
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

import numpy as np

from kinematics.programs.compiler import disk_cache
from kinematics.programs.compiler.machine import (
    compiler_version,
    load_object,
    object_code,
    this_machine,
)
from kinematics.programs.compiler.tensors import CudaKernel, call_with_tensors, register
from kinematics.programs.derivative import pullback
from kinematics.programs.graph import many_nodes
from kinematics.programs.program import Program, ProgramError
from kinematics.programs.source.llvm import llvm_source
from kinematics.programs.source.lowering import lower

DTYPES = {"float64": np.float64, "float32": np.float32}
SPARE = 4  # answers that are kept to be written over: those of a Runge–Kutta step
LARGEST_SPARE = 2**24  # bytes
SMALLEST_SHARE = 2**22  # instructions, some 300 µs: of 16 threads, some took 100 µs to wake


class CompiledProgram:
    """A straight-line program as machine code.

    Call it with one array an input, each (B, columns) or (columns,), row-major; numpy arrays give
    a numpy array, torch tensors a torch tensor, computed where they are (on a graphics card by
    the same program in CUDA). ``operations`` counts the arithmetic of one evaluation,
    ``source("c" | "cuda" | "llvm" | "python" | "torch" | "latex")`` is the program as text,
    ``passes`` the algorithm as passes over the tree, where it is known.
    """

    def __init__(
        self,
        *,
        description: dict[str, Any],
        codes: dict[int, bytes],
        make: Callable[[], Program],
        dtype: str,
        threads: int,
        from_cache: bool,
        content: dict[str, Any] | None = None,
    ):
        self.content = content
        self.handle = register(self)
        self.name: str = description["name"]
        self.operations: dict[str, int] = dict(description["operations"])
        self.passes: str = description["passes"]
        self.input_names: tuple[str, ...] = tuple(description["inputs"])
        self.input_sizes: tuple[int, ...] = tuple(description["sizes"])
        self.output_shape: tuple[int, ...] = tuple(description["output_shape"])
        self.instructions: int = description["instructions"]
        self.dtype = dtype
        self.threads = threads
        self.lanes = max(codes)
        self.from_cache = from_cache
        self._make = make
        self._dtype = np.dtype(DTYPES[dtype])
        self._spare: list[np.ndarray] = []  # answers, taken out while they are filled
        kind = ctypes.CFUNCTYPE(
            None, *([ctypes.c_void_p] * (len(self.input_sizes) + 1)), ctypes.c_long, ctypes.c_long
        )
        self._kernels = {n: kind(load_object(code, "kernel")) for n, code in codes.items()}
        self._outputs = math.prod(self.output_shape)
        self._pool: ThreadPoolExecutor | None = None

    @cached_property
    def program(self) -> Program:
        """The program behind the machine code (traced again if it came from the cache)."""
        return self._make()

    @cached_property
    def cuda(self) -> CudaKernel:
        """The same program as a kernel of the graphics card; built when it is first called."""
        return CudaKernel(self.program, self.dtype)

    @cached_property
    def pullback(self) -> CompiledProgram:
        """The compiled vector-Jacobian product; made when it is first wanted."""
        return compile_program(
            lambda: pullback(self.program),
            content=None if self.content is None else {"pullback": self.content},
            dtype=self.dtype,
            threads=self.threads,
        )

    @property
    def arithmetic(self) -> int:
        """mul + add + div of one evaluation."""
        return sum(self.operations[k] for k in ("mul", "add", "div"))

    def source(self, language: str = "llvm") -> str:
        """The program as text: "c", "cuda", "llvm", "python", "torch", "jax" or "latex"."""
        if language == "llvm":
            return llvm_source(self.program, self.dtype, self.lanes, wide=this_machine().wide)
        return self.program.source(language, self.dtype)

    def __repr__(self) -> str:
        inputs = ", ".join(
            f"{n} (B, {s})" for n, s in zip(self.input_names, self.input_sizes, strict=True)
        )
        return f"CompiledProgram({self.name}: {inputs} -> (B, {self._outputs}), {self.dtype})"

    def __call__(self, *arrays: Any, out: Any = None) -> Any:
        """The answers for arrays (B, columns) or (columns,); any further leading axes.

        ``out``, of the answer's shape, dtype and kind of array, is filled and returned: nothing is
        allocated. Without it an array is made, or one used again that nobody holds any more.
        """
        plain = self._call_plain(arrays, out)
        if plain is not None:
            return plain
        if any(type(a).__module__.startswith("torch") for a in (*arrays, out)):
            return call_with_tensors(self, arrays, out)
        return self.call_numpy(*arrays, out=out)

    def _call_plain(self, arrays: tuple[Any, ...], out: Any) -> np.ndarray | None:
        """The answers where all is as the machine code wants it, which takes a few microseconds
        less to see than to bring about; None where it is not."""
        if len(arrays) != len(self.input_sizes):
            return None
        batch: tuple[int, ...] | None = None
        pointers = []
        for array, size in zip(arrays, self.input_sizes, strict=True):
            if type(array) is not np.ndarray or array.dtype is not self._dtype:
                return None
            shape = array.shape
            if not shape or shape[-1] != size or (batch is not None and shape[:-1] != batch):
                return None
            batch = shape[:-1]
            try:
                pointers.append(_addressof(_from_buffer(array)))
            except (TypeError, ValueError, BufferError):  # strided, read-only, or empty
                return None
        assert batch is not None
        count = math.prod(batch)
        if out is None:
            room = self._room(batch)
            self._start(pointers, _address(room), count)
            self._keep(room)
            return room
        self._start(pointers, self._target(out, batch, pointers), count)
        return out

    def call_numpy(self, *arrays: Any, out: Any = None) -> np.ndarray:
        """The same, of anything that numpy makes arrays of."""
        ready = [self._numbers(a) for a in arrays]
        self.check(ready)
        batch = ready[0].shape[:-1]
        if any(a.shape[:-1] != batch for a in ready[1:]):
            try:
                batch = np.broadcast_shapes(*(a.shape[:-1] for a in ready))
            except ValueError:
                raise ProgramError(self.complaint(arrays)) from None
            ready = [np.ascontiguousarray(np.broadcast_to(a, (*batch, a.shape[-1]))) for a in ready]
        pointers, count = [_address(a) for a in ready], math.prod(batch)
        if out is not None:
            self._start(pointers, self._target(out, batch, pointers), count)
            return out
        room = self._room(batch)
        self._start(pointers, _address(room), count)
        self._keep(room)
        return room

    def _room(self, batch: tuple[int, ...]) -> np.ndarray:
        """An array for the answers: one of the last few that nobody holds any more, for fresh
        memory costs a page fault every 4 KiB, more than the arithmetic of a short program."""
        shape, held = (*batch, *self.output_shape), []
        room = None
        while self._spare and room is None:
            array, count = _taken(self._spare)
            if array is not None and array.shape == shape:
                if count == _UNHELD:
                    room = array
                else:
                    held.append(array)
        if held:
            self._spare.extend(reversed(held))
        return np.empty(shape, dtype=self._dtype) if room is None else room

    def _keep(self, room: np.ndarray) -> None:
        if room.nbytes <= LARGEST_SPARE:
            self._spare.append(room)
            del self._spare[:-SPARE]

    def _target(self, out: Any, batch: tuple[int, ...], pointers: Sequence[int]) -> int:
        """Where ``out`` lies; a one-line `ProgramError` if the machine code cannot fill it."""
        shape = (*batch, *self.output_shape)
        try:
            if out.dtype != self._dtype or out.shape != shape:
                raise TypeError
            start = _addressof(_from_buffer(out)) if out.size else 0
        except (AttributeError, TypeError, ValueError, BufferError):
            found = f"{out.dtype} {out.shape}" if hasattr(out, "shape") else type(out).__name__
            raise ProgramError(
                f"{self.name}: expected out as a writable, contiguous array of {self.dtype} "
                f"{shape}, found {found}; make it by numpy.empty"
            ) from None
        end, states = start + out.nbytes, math.prod(batch) * self._dtype.itemsize
        for at, size in zip(pointers, self.input_sizes, strict=True):
            if at < end and start < at + states * size:
                raise ProgramError(
                    f"{self.name}: expected out apart from the inputs, found that they share "
                    "memory; states are read in groups that overlap, so give another array"
                )
        return start

    def _numbers(self, given: Any) -> np.ndarray:
        """A contiguous array of the program's type."""
        if type(given) is np.ndarray and given.dtype == self._dtype and given.flags.c_contiguous:
            return given
        try:
            array = np.asarray(given)
            if array.dtype.kind not in "biufO":
                raise TypeError(array.dtype.name)
            return np.ascontiguousarray(array, dtype=self._dtype)
        except (TypeError, ValueError) as error:
            raise ProgramError(
                f"{self.name}: expected arrays of real numbers, found {type(given).__name__} "
                f"({' '.join(str(error).split())[:80]}); convert it first"
            ) from error

    def check(self, arrays: Any) -> None:
        """Raise a one-line `ProgramError` unless there is one array an input, as wide as it."""
        shapes = [_shape(a) for a in arrays]
        widths = [s[-1] if s else None for s in shapes]
        if widths != list(self.input_sizes):
            raise ProgramError(self.complaint(arrays))

    def complaint(self, arrays: Any) -> str:
        """What was expected of arguments, and what was found."""
        expected = ", ".join(
            f"{n} (B, {s})" for n, s in zip(self.input_names, self.input_sizes, strict=True)
        )
        found = ", ".join(str(_shape(a)) for a in arrays)
        return f"{self.name}: expected {expected} with one B; found shapes {found}"

    def run(self, ready: list[np.ndarray], out: np.ndarray, count: int) -> None:
        """Fill ``out`` from contiguous arrays of the right type, ``count`` states."""
        self._start([_address(a) for a in ready], _address(out), count)

    def _start(self, pointers: list[int], target: int, count: int) -> None:
        if count < self.lanes:
            self._kernels[1](*pointers, target, 0, count)
            return
        kernel = self._kernels[self.lanes]
        shares = min(self.threads, count * self.instructions // SMALLEST_SHARE)
        if shares < 2:
            kernel(*pointers, target, 0, count)
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.threads - 1)
        bounds = [count * k // shares for k in range(shares + 1)]
        others = [
            self._pool.submit(kernel, *pointers, target, bounds[k], bounds[k + 1])
            for k in range(1, shares)
        ]
        kernel(*pointers, target, 0, bounds[1])  # this thread's own share
        for other in others:
            other.result()

    def run_one_by_one(self, ready: list[np.ndarray], out: np.ndarray, count: int) -> None:
        """The same, one state at a time: what a controller that has one state would wait for."""
        pointers = [_address(a) for a in ready]
        self._kernels[1](*pointers, _address(out), 0, count)


def compile_program(
    make: Callable[[], Program],
    *,
    content: dict[str, Any] | None = None,
    dtype: str = "float64",
    threads: int = 1,
) -> CompiledProgram:
    """Machine code for the program that ``make`` returns.

    ``content`` says everything the program depends on; with it the kernel is looked up on disk
    first and ``make`` is called only if it is absent. ``threads`` is how many share a batch.
    """
    if dtype not in DTYPES:
        raise ProgramError(f"expected dtype among {', '.join(DTYPES)}, found {dtype!r}; choose one")
    if not isinstance(threads, int) or threads < 1:
        raise ProgramError(f"expected a whole number of threads >= 1, found {threads!r}")
    machine = this_machine()
    name = None
    if content is not None:
        name = disk_cache.key(
            content=content,
            dtype=dtype,
            machine=repr(machine),
            compiler=compiler_version(),
        )
        entry = disk_cache.read(name)
        if entry is not None:
            description, whole = entry
            return CompiledProgram(
                description=description,
                codes=_split(whole, description["lengths"]),
                make=make,
                dtype=dtype,
                threads=threads,
                from_cache=True,
                content=content,
            )
    with many_nodes():
        program = make()
        description, codes = _build(program, dtype)
    if name is not None:
        disk_cache.write(name, description, b"".join(codes.values()))
    return CompiledProgram(
        description=description,
        codes=codes,
        make=lambda: program,
        dtype=dtype,
        threads=threads,
        from_cache=False,
        content=content,
    )


_addressof: Callable[[Any], int] = ctypes.addressof
_from_buffer: Callable[[Any], Any] = ctypes.c_char.from_buffer


def _taken(spare: list[np.ndarray]) -> tuple[np.ndarray | None, int]:
    """The newest array of a list, out of it (so that no other thread takes it), and how often it
    is held."""
    try:
        array = spare.pop()
    except IndexError:
        return None, 0
    return array, sys.getrefcount(array)


def _unheld() -> int:
    """What `_taken` counts for an array that nobody else holds; never met without the interpreter's
    lock, where counts are not exact."""
    locked = getattr(sys, "_is_gil_enabled", lambda: True)()
    return _taken([np.empty(1)])[1] if locked else -1


_UNHELD = _unheld()


def _address(array: np.ndarray) -> int:
    """Where an array's numbers lie; three times as fast as ``array.ctypes.data``."""
    buffer: Any = array  # numpy arrays are buffers, which their stubs do not say
    try:
        return _addressof(_from_buffer(buffer))
    except (TypeError, ValueError):  # read-only, or empty
        return int(array.ctypes.data)


def _shape(array: Any) -> tuple[int, ...]:
    return tuple(array.shape) if hasattr(array, "shape") else np.shape(array)


def _build(program: Program, dtype: str) -> tuple[dict[str, Any], dict[int, bytes]]:
    machine = this_machine()
    steps = lower(program, registers=machine.registers)
    codes = {
        n: object_code(
            llvm_source(
                program,
                dtype,
                n,
                instructions=steps,
                wide=machine.wide,
                pack=machine.pack(dtype),
            )
        )
        for n in sorted({1, machine.lanes(dtype, steps.count)})
    }
    description = {
        "name": program.name,
        "operations": program.operations,
        "passes": program.passes,
        "inputs": [p.name for p in program.ports],
        "sizes": [p.size for p in program.ports],
        "output_shape": list(program.outputs.shape),
        "instructions": steps.count,
        "lengths": {str(n): len(code) for n, code in codes.items()},
    }
    return description, codes


def _split(whole: bytes, lengths: dict[str, int]) -> dict[int, bytes]:
    codes = {}
    start = 0
    for lanes, length in lengths.items():
        codes[int(lanes)] = whole[start : start + length]
        start += length
    return codes
