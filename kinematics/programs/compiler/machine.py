"""The machine that programs are compiled for, and LLVM's code generator behind one function."""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass
from functools import lru_cache

SHORT = 300  # instructions; measured: a fifth faster at 20, a fourteenth at 256, slower at 359

_LOCK = threading.Lock()
_NUMBERS = itertools.count()
_KEPT: list = []  # machine code must outlive the functions that point into it


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Processor name, its features as LLVM writes them, and the width of a vector in bits."""

    triple: str
    processor: str
    features: str
    vector_bits: int
    wide: bool  # AVX-512

    @property
    def registers(self) -> int:
        """How many vectors the processor holds at once."""
        return 32 if self.wide else 16

    def lanes(self, dtype: str, instructions: int) -> int:
        """How many states are worked on at once: as many as a vector holds, or two vectors side by
        side where few registers and a short program leave the units waiting for each other."""
        states = self.vector_bits // (64 if dtype == "float64" else 32)
        return states if self.wide or instructions >= SHORT else 2 * states

    def pack(self, dtype: str) -> int:
        """How many angles of one state share a vector: of 256 bits at most, since wider ones close
        a port to the single numbers that are worked on at the same time."""
        return min(256, self.vector_bits) // (64 if dtype == "float64" else 32)


@lru_cache(maxsize=1)
def this_machine() -> Machine:
    """The machine this process runs on."""
    import llvmlite.binding as llvm

    found = llvm.get_host_cpu_features()
    if found.get("avx512f") and found.get("avx512dq"):
        bits = 512
    elif found.get("avx"):
        bits = 256
    else:
        bits = 128
    return Machine(
        triple=llvm.get_process_triple(),
        processor=llvm.get_host_cpu_name(),
        features=found.flatten(),
        vector_bits=bits,
        wide=bits == 512,
    )


@lru_cache(maxsize=1)
def _prepare() -> None:
    """Set LLVM up once: the traced order is already good, so its schedulers are switched off."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    llvm.set_option("worldlaw", "-enable-misched=false")
    llvm.set_option("worldlaw", "-pre-RA-sched=source")


def compiler_version() -> str:
    """llvmlite's and LLVM's version, part of every cache key."""
    import llvmlite
    import llvmlite.binding as llvm

    return f"llvmlite {llvmlite.__version__} llvm {'.'.join(map(str, llvm.llvm_version_info))}"


def _target_machine():
    import llvmlite.binding as llvm

    machine = this_machine()
    target = llvm.Target.from_triple(machine.triple)
    return target.create_target_machine(
        cpu=machine.processor, features=machine.features, opt=2, reloc="pic", codemodel="small"
    )


def object_code(source: str) -> bytes:
    """Machine code, as an object file, of LLVM source text."""
    import llvmlite.binding as llvm

    with _LOCK:
        _prepare()
        module = llvm.parse_assembly(source)
        module.verify()
        code: bytes = _target_machine().emit_object(module)
    return code


@lru_cache(maxsize=1)
def _linker():
    """LLVM's newer linker, which lays the sections of an object side by side: the older one takes
    any place for each, and where those lie 2 GB apart, as beside CUDA's reservations, it aborts."""
    import llvmlite.binding as llvm

    return llvm.create_lljit_compiler(_target_machine(), use_jit_link=True)


def load_object(code: bytes, name: str) -> int:
    """Link an object file into this process; the address of its function ``name``.

    Raises ValueError where the file holds no such function.
    """
    import llvmlite.binding as llvm

    with _LOCK:
        _prepare()
        library = llvm.JITLibraryBuilder().add_object_img(code).export_symbol(name)
        try:
            linked = library.link(_linker(), f"program_{next(_NUMBERS)}")
        except RuntimeError as error:
            raise ValueError(
                f"expected an object file with a function {name}, found none: {error}"
            ) from error
        _KEPT.append(linked)
    return int(linked[name])
