"""Checks of model files before they are loaded: no code in them may run.

Python pickles can run code, so they are refused.
TorchScript is read by a restricted unpickler in C++ and holds a program of tensor operations only.
A `.pt2` archive is a graph in JSON, but PyTorch's own loader would unpickle attachments and
evaluate symbolic sizes as Python; so the archive is checked against a short list of what a plain
exported network needs, and everything else is refused.
"""

from __future__ import annotations

import io
import json
import pickle
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from discover.errors import ModelError

EXPORT_ADVICE = (
    "export the model instead: torch.export.save(torch.export.export(model, …), 'model.pt2'), "
    "torch.jit.script(model).save('model.pt') or torch.onnx.export"
)
_TARGETS = re.compile(
    r"(torch\.ops\.(aten|prims)\.\w+(\.\w+)?|_operator\.\w+|math\.\w+|torch\.sym_\w+)"
)
_FORBIDDEN_OPERATORS = {"_operator.methodcaller", "_operator.attrgetter", "_operator.call"}
_SIZE_WORDS = {
    "Symbol", "Integer", "positive", "nonnegative", "integer", "True", "False", "Max", "Min",
    "Mod", "PythonMod", "FloorDiv", "CleanDiv", "Add", "Mul", "Pow", "int_oo", "oo",
}  # fmt: skip
_SIZE = re.compile(r"[\w\s+\-*/(),='<>]*")


def kind_of_archive(path: Path) -> str:
    """ "pt2", "torchscript" or an error: what the zip file at `path` holds."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError) as error:
        raise ModelError(
            f"expected a .pt2 or TorchScript archive at {path}, found "
            f"{_what_else(path)}; {EXPORT_ADVICE}"
        ) from error
    inner = {name.split("/", 1)[-1] for name in names}
    if "archive_format" in inner or "serialized_exported_program.json" in names:
        return "pt2"
    if "constants.pkl" in inner and any(name.startswith("code/") for name in inner):
        return "torchscript"
    if "data.pkl" in inner:
        raise ModelError(
            f"{path} is a Python pickle (torch.save), which could run any code on loading: "
            f"refused; {EXPORT_ADVICE}"
        )
    raise ModelError(
        f"expected a .pt2 or TorchScript archive at {path}, found a foreign zip file; "
        f"{EXPORT_ADVICE}"
    )


def _what_else(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            head = stream.read(2)
    except OSError as error:
        return error.strerror or "an unreadable file"
    if head[:1] == b"\x80":  # the first byte of every binary pickle
        return "a Python pickle, which could run any code on loading"
    return "a truncated or foreign file"


def safe_pt2(path: Path) -> io.BytesIO:
    """The bytes of a `.pt2` archive that was found to hold data only. Raises ModelError."""
    content = path.read_bytes()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for name in archive.namelist():
            member = archive.read(name)
            if name.endswith(".json"):
                try:
                    parsed = json.loads(member)
                except ValueError as error:
                    raise ModelError(f"{path}: {name} is damaged; export it again") from error
                _check_graph(path, parsed)
            elif name.endswith((".so", ".cubin", ".o", ".pkl")) or "aotinductor" in name:
                raise ModelError(
                    f"{path} holds compiled or pickled code ({name}): refused; {EXPORT_ADVICE}"
                )
            elif name.endswith(".pt") and member:
                _check_attachment(path, name, member)
    return io.BytesIO(content)


def _check_attachment(path: Path, name: str, member: bytes) -> None:
    try:
        torch.load(io.BytesIO(member), weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise ModelError(
            f"{path}: {name} holds more than tensors, and could run code on loading: refused; "
            f"{EXPORT_ADVICE}"
        ) from error


def _check_graph(path: Path, graph: Any) -> None:
    for key, value in _walk(graph):
        if key == "use_pickle" and value:
            raise ModelError(f"{path} holds pickled objects: refused; {EXPORT_ADVICE}")
        if key == "target" and isinstance(value, str) and value:
            known = _TARGETS.fullmatch(value) and "__" not in value
            if not known or value in _FORBIDDEN_OPERATORS:
                raise ModelError(
                    f"{path} calls '{value[:60]}', which is no plain tensor operation: refused; "
                    "export the network alone"
                )
        if key == "expr_str":
            words = set(re.findall(r"[A-Za-z_]\w*", str(value)))
            sizes = {word for word in words if re.fullmatch(r"[su]\d+", word)}
            if not _SIZE.fullmatch(str(value)) or not words - sizes <= _SIZE_WORDS:
                raise ModelError(
                    f"{path} has a size '{str(value)[:60]}' that is no plain expression: refused; "
                    "export it again with a simple batch axis"
                )


def _walk(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield key, item
            yield from _walk(item)
    elif isinstance(value, list):
        for item in value:
            yield from _walk(item)
