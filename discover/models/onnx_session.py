"""A session of ONNX Runtime on the processor, for users' models and for the time ledger alike."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from discover.errors import ModelError

QUIET = 3  # errors only


def open_session(model: str | bytes, threads: int | None = None) -> Any:
    """The model of a file, or its bytes, ready to run; on so many threads, else as it likes.

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
    with suppress(Exception):  # onnxruntime raises classes of its own without a common base
        return onnxruntime.InferenceSession(model, options, providers=providers)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    try:
        return onnxruntime.InferenceSession(model, options, providers=providers)
    except Exception as error:
        told = (str(error).strip() or type(error).__name__).splitlines()[0][:160]
        raise ModelError(f"could not be read by onnxruntime ({told}); export it again") from error
