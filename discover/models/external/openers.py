"""Opening model files: one function a format, from a file to a callable on tensors.

The session of ONNX Runtime serves users' models and the time ledger alike.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import torch
from torch import Tensor, nn

from discover.errors import ModelError
from discover.models.external.archives import safe_pt2
from discover.models.external.input_order import argument_names, keyword_names

QUIET = 3  # errors only
_SHOWN = 160  # characters of somebody else's message


def open_session(model: str | bytes, threads: int | None = None) -> Any:
    """An ONNX Runtime session of a file or of its bytes, on so many threads (default: its choice).

    Where a model cannot be started with all optimisations it is with the basic ones: versions
    before 1.31 fuse x·sigmoid(x) into a kernel that there is not in float64. ModelError where it
    cannot be started at all, ImportError without onnxruntime.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = QUIET
    if threads is not None:
        options.intra_op_num_threads = options.inter_op_num_threads = threads
    providers = ["CPUExecutionProvider"]
    with contextlib.suppress(Exception):  # onnxruntime's classes have no common base
        return onnxruntime.InferenceSession(model, options, providers=providers)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    try:
        return onnxruntime.InferenceSession(model, options, providers=providers)
    except Exception as error:
        raise ModelError(
            f"could not be read by onnxruntime ({_onnx_reason(error)}); export it again"
        ) from error


def _onnx_reason(error: Exception) -> str:
    """What ONNX Runtime says, without its codes, source files and signatures, which come first."""
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", text)
    text = re.sub(r"\S*onnxruntime_src/\S+ .*\) (?=[A-Z])", "", text)
    return " ".join(text.split())[:_SHOWN]


_LARGEST_BATCH = 65536  # of a range: a larger one is as good as open


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A model from its file. names, dtype, batch: None where the file does not state them."""

    call: Callable[..., Any]
    source: str
    names: tuple[str, ...] | None = None
    dtype: torch.dtype | None = None
    batch: int | None = None
    """The only batch size it takes, where it was exported with a fixed one; of a range the largest:
    questions are filled up to it."""
    shapes: tuple[tuple[Any, ...], ...] | None = None
    """The shapes of its inputs as the file states them, numbers where they are fixed."""
    modules: tuple[nn.Module, ...] = ()
    """The PyTorch modules that it is made of, where they are known."""
    device: torch.device | None = None
    python: bool = False
    """Whether it is a Python object, whose arguments are passed by position."""
    optional: tuple[str, ...] = ()
    """Arguments that are None by default, as hidden states often are."""
    path: Path | None = None
    """The file, where what it holds may be read in another way (ONNX)."""

    @property
    def widths(self) -> tuple[int | None, ...] | None:
        """The last axis of each input, None where it is open."""
        if self.shapes is None:
            return None
        return tuple(s[-1] if s and isinstance(s[-1], int) else None for s in self.shapes)


def open_pt2(path: Path) -> Opened:
    content = safe_pt2(path)
    try:
        program = torch.export.load(content)
        call = program.module()
    except (RuntimeError, ValueError, AssertionError, KeyError, TypeError) as error:
        raise ModelError(
            f"{path} could not be read by torch.export ({_line(error)}); export it again with "
            f"PyTorch {torch.__version__.split('+')[0]}"
        ) from error
    given = set(program.graph_signature.user_inputs)
    inputs = [n for n in program.graph.nodes if n.op == "placeholder" and n.name in given]
    values = [node.meta["val"] for node in inputs]
    first = values[0].shape[0] if values and values[0].ndim > 1 else None
    return Opened(
        call=call,
        source=path.name,
        names=tuple(node.name for node in inputs),
        dtype=values[0].dtype if values else None,
        batch=_batch(program, first),
        shapes=tuple(tuple(value.shape) for value in values),
    )


def _batch(program: torch.export.ExportedProgram, first: int | torch.SymInt | None) -> int | None:
    """The batch that a program is asked in: the only one it takes, or the largest of a range."""
    if first is None or isinstance(first, int):
        return first
    allowed = program.range_constraints.get(first.node.expr)
    most = str(getattr(allowed, "upper", ""))
    return int(most) if most.isdigit() and int(most) <= _LARGEST_BATCH else None


def open_torchscript(path: Path) -> Opened:
    try:
        module = torch.jit.load(str(path), map_location="cpu").eval()
        arguments = [a.name for a in module.forward.schema.arguments[1:]]
    except (RuntimeError, ValueError, AttributeError) as error:
        raise ModelError(
            f"{path} could not be read as TorchScript ({_line(error)}); export it again"
        ) from error
    weights = [p for p in module.parameters() if p.is_floating_point()]
    return Opened(
        call=module,
        source=path.name,
        names=tuple(arguments),
        dtype=weights[0].dtype if weights else None,
    )


def open_onnx(path: Path) -> Opened:
    try:
        session = open_session(str(path))
    except ImportError as error:
        raise ModelError("ONNX models need onnxruntime: pip install 'worldlaw[onnx]'") from error
    except ModelError as error:
        raise ModelError(f"{path} {error}") from error
    inputs = session.get_inputs()
    types = {
        "tensor(float)": torch.float32,
        "tensor(double)": torch.float64,
        "tensor(float16)": torch.float16,
    }
    other = [f"{item.type} as {item.name!r}" for item in inputs if item.type not in types]
    if not inputs or other:
        raise ModelError(
            f"{path}: expected float or double inputs, found {', '.join(other) or 'none'}; export "
            "it with floating-point inputs"
        )
    names = [item.name for item in inputs]
    dtypes = [types[item.type] for item in inputs]

    def call(*given: Tensor) -> tuple[Tensor, ...]:
        feed = {
            name: np.ascontiguousarray(x.to(dtype).numpy())
            for name, dtype, x in zip(names, dtypes, given, strict=True)
        }
        return tuple(torch.from_numpy(np.asarray(y)) for y in session.run(None, feed))

    first = inputs[0].shape[0] if len(inputs[0].shape) > 1 else None
    return Opened(
        call=call,
        source=path.name,
        names=tuple(names),
        dtype=types[inputs[0].type],
        batch=first if isinstance(first, int) else None,
        shapes=tuple(tuple(item.shape) for item in inputs),
        path=path,
    )


def open_factory(path: Path, factory: str) -> Opened:
    if not path.is_file():
        raise ModelError(f"expected a Python file at {path}, found none")
    name = f"_model_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None  # given for every .py file
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickling look their module up here
    errors = _HeldBack(sys.stderr)
    try:
        with _arguments_of_its_own(path), contextlib.redirect_stderr(errors):
            spec.loader.exec_module(module)
            if factory not in vars(module):
                raise ModelError(f"{path} has no '{factory}'; name a function that gives the model")
            model = vars(module)[factory]()
    except ModelError:
        raise
    except SystemExit as error:
        last = errors.getvalue().strip().rpartition("\n")[2]
        reason = last or (error.code if isinstance(error.code, str) else f"status {error.code}")
        raise ModelError(
            f"{path}:{factory} ended the program ({' '.join(reason.split())[:160]}); move what "
            "reads arguments or exits under if __name__ == '__main__':"
        ) from error
    except Exception as error:  # the user's code may raise anything: name it and where it was
        raise ModelError(
            f"{path}:{factory} raised {type(error).__name__}: {_line(error)}; "
            "it is called without arguments and must give the model"
        ) from error
    errors.release()
    if not callable(model):
        raise ModelError(
            f"{path}:{factory} gave {type(model).__name__}; expected a callable (q, v, tau) -> a"
        )
    dtype: torch.dtype | None = torch.float64
    if isinstance(model, nn.Module):
        model.eval()
        weights = [p for p in model.parameters() if p.is_floating_point()]
        dtype = weights[0].dtype if weights else None
    names, call = argument_names(model), model
    keywords = keyword_names(model)
    if keywords is not None:
        names, call = keywords, _by_keyword(model, keywords)
    return Opened(call=call, source=f"{path.name}:{factory}", names=names, dtype=dtype)


def _by_keyword(model: Callable[..., Any], names: tuple[str, ...]) -> Callable[..., Any]:
    """The same callable with its arguments by position."""
    return lambda *given: model(**dict(zip(names, given, strict=True)))


class _HeldBack(io.StringIO):
    """Standard error that is kept until `release`, and from then on passed on to `target`: a logger
    may hold on to it."""

    def __init__(self, target: TextIO) -> None:
        super().__init__()
        self.target, self.released = target, False

    def write(self, text: str, /) -> int:
        return self.target.write(text) if self.released else super().write(text)

    def flush(self) -> None:
        if self.released:
            self.target.flush()

    def fileno(self) -> int:
        return self.target.fileno()

    def release(self) -> None:
        self.target.write(self.getvalue())
        self.released = True


@contextlib.contextmanager
def _arguments_of_its_own(path: Path) -> Iterator[None]:
    """No command-line arguments for code that reads some: those of this program are not its."""
    before = sys.argv
    sys.argv = [str(path)]
    try:
        yield
    finally:
        sys.argv = before


def _line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:_SHOWN] if text else type(error).__name__
