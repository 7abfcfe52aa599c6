"""Rows of a track in TensorBoard and in Weights & Biases. Neither is imported before it is used."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from discover.errors import ModelError
from discover.tracking.rows import Row

Log = Callable[[Row], None]


def scalars(row: Row) -> dict[str, float]:
    """The finite numbers of a row by name: "confidence", "reach/q", "parameter/m[upper]", …"""
    found: dict[str, float | None] = {
        "confidence": row.confidence,
        "law error in the region": row.error,
        "law error far out": row.error_far,
        "law complexity, bits": row.bits,
        "queries": None if row.failure else row.queries,
        "seconds": None if row.failure else row.seconds,
    }
    found |= {f"probability/{answer}": p for answer, p in row.probabilities.items()}
    found |= {f"reach/{axis}": r for axis, r in row.reach.items()}
    found |= {f"parameter/{p['name']}": p["value"] for p in row.parameters}
    return {
        name: float(x) for name, x in found.items() if x is not None and math.isfinite(float(x))
    }


@contextmanager
def tensorboard(writer: Any, prefix: str) -> Iterator[Log]:
    """A function that writes rows with `writer`, or into the folder of that name."""
    if not isinstance(writer, str | os.PathLike):
        if not callable(getattr(writer, "add_scalar", None)):
            raise ModelError(
                "expected a SummaryWriter (with add_scalar and add_text) or a folder, found "
                f"{type(writer).__name__}"
            )
        yield lambda row: _write(row, writer, prefix)
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ModelError(
            "writing for TensorBoard needs the package tensorboard, which is not installed: "
            "pip install 'worldlaw[tensorboard]'"
        ) from error
    opened = SummaryWriter(str(writer))
    try:
        yield lambda row: _write(row, opened, prefix)
    finally:
        opened.close()


def _write(row: Row, writer: Any, prefix: str) -> None:
    step = round(row.step)
    for name, value in scalars(row).items():
        writer.add_scalar(f"{prefix}/{name}", value, step)
    writer.add_text(f"{prefix}/verdict", row.failure or str(row.verdict), step)


def wandb(run: Any, prefix: str) -> Log:
    """A function that logs rows to a run, against a step of their own: the run's own counter only
    rises, and checkpoints may be examined after the training."""
    if run is None:
        try:
            import wandb as package
        except ImportError as error:
            raise ModelError(
                "logging to Weights & Biases needs the package wandb, which is not installed: "
                "pip install wandb"
            ) from error
        run = package.run
        if run is None:
            raise ModelError(
                "expected an active run of Weights & Biases, found none: call wandb.init(), or "
                "give run=…"
            )
    if not callable(getattr(run, "log", None)):
        raise ModelError(
            f"expected a run of Weights & Biases (with log), found {type(run).__name__}"
        )
    counter = f"{prefix}/step"
    if callable(getattr(run, "define_metric", None)):
        run.define_metric(f"{prefix}/*", step_metric=counter)

    def log(row: Row) -> None:
        numbers = {f"{prefix}/{name}": value for name, value in scalars(row).items()}
        words = {f"{prefix}/verdict": row.failure or str(row.verdict)}
        run.log({counter: row.step, **numbers, **words})

    return log
