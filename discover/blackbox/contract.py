"""What answers (q, v, tau) -> a: the one contract that simulator, network and law share.

A `Dynamics` is any callable on batched tensors. `BlackBox` wraps one that belongs to somebody else:
it counts the queries, keeps the model from changing its inputs, and turns every way in which a
model can misbehave into one clear `ModelError`.
"""

from __future__ import annotations

import copy
import math
import numbers
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from discover.errors import ModelError
from kinematics import Actuation, Robot
from kinematics.robot.joints import TURNING

OUTPUTS = ("acceleration", "next_state")
_CHUNK = 16384
_SAME_ANGLE = 1e-6  # rad: what single precision leaves of an angle of one turn


class Dynamics(Protocol):
    """Anything that answers (q, v, tau) with joint accelerations, batched on the left."""

    def __call__(self, q: Tensor, v: Tensor, tau: Tensor, /) -> Tensor: ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Answers:
    """Queries and their answers: q (n, nq), v, tau, a (n, nv); for step models also q', v'.

    tau are joint forces; u (n, nu) the controls that made them, of a model that takes controls.
    Compared and hashed by identity, so that what was computed for a set can be kept with it.
    """

    q: Tensor
    v: Tensor
    tau: Tensor
    a: Tensor
    q_next: Tensor | None = None
    v_next: Tensor | None = None
    u: Tensor | None = None

    @property
    def commands(self) -> Tensor:
        """What the model was asked with: its controls, or the joint forces."""
        return self.tau if self.u is None else self.u

    def __len__(self) -> int:
        return len(self.q)

    def __getitem__(self, rows) -> Answers:
        def pick(x: Tensor | None) -> Tensor | None:
            return None if x is None else x[rows]

        return Answers(
            q=self.q[rows],
            v=self.v[rows],
            tau=self.tau[rows],
            a=self.a[rows],
            q_next=pick(self.q_next),
            v_next=pick(self.v_next),
            u=pick(self.u),
        )

    def spaced(self, count: int) -> Tensor:
        """The numbers of at most so many rows, spaced evenly."""
        n = len(self)
        return torch.linspace(0, n - 1, min(count, n)).round().long()

    def evenly(self, count: int) -> Answers:
        """At most so many rows, spaced evenly; these answers where they are as few."""
        return self if len(self) <= count else self[self.spaced(count)]

    @staticmethod
    def concat(parts: list[Answers]) -> Answers:
        """All rows of `parts`, in order."""

        def join(name: str) -> Tensor | None:
            columns = [getattr(p, name) for p in parts]
            return None if columns[0] is None else torch.cat(columns)

        names = ("q", "v", "tau", "a", "q_next", "v_next", "u")
        return Answers(**{n: join(n) for n in names})  # type: ignore[arg-type]


def relative_error(candidate: Tensor, reference: Tensor) -> float:
    """Root-mean-square error of each joint over that joint's own root-mean-square, averaged.

    sqrt(mean_j(mse_j / meansquare_j)), so that a heavy joint does not drown a light one.
    candidate, reference (n, nv). Rows that are not finite make the error infinite.
    """
    if not bool(torch.isfinite(candidate).all()):
        return float("inf")
    scale = reference.square().mean(0)
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    return float(((candidate - reference).square().mean(0) / scale).mean().sqrt())


class WithoutGradients:
    """A model called without gradients, which nobody needs here; with them where it takes some
    itself, as networks of a Lagrangian or Hamiltonian do. No graph outlives the call.

    Others are called under `no_grad`: with gradients on, networks of three layers took 30 to 47 %
    longer on 40 to 1,000 states, and kept all their activations.
    """

    def __init__(self, model: Callable) -> None:
        self.model, self.differentiates = model, False

    def __call__(self, *inputs: Tensor) -> Any:
        if not self.differentiates:
            try:
                with torch.no_grad():
                    return self.model(*inputs)
            except RuntimeError as error:  # torch has one class for all its errors
                if "does not require grad" not in str(error):
                    raise
        self.differentiates = True
        with torch.inference_mode(False), torch.enable_grad():
            # Tensors made in inference mode can take part in no gradient; their copies can.
            return _detached(self.model(*(x.clone() if x.is_inference() else x for x in inputs)))


def _detached(answer: Any) -> Any:
    if isinstance(answer, Tensor):
        return answer.detach()
    if isinstance(answer, tuple | list):
        return tuple(_detached(part) for part in answer)
    return answer


class ModelRaisedError(ModelError):
    """The model raised an exception of its own."""


@dataclass
class _Tally:
    """What the queries have cost so far."""

    queries: int = 0
    seconds: float = 0.0
    told: Turns | None = None


@dataclass
class Turns:
    """Between which ends a model's angles that follow lay, as it told them: (nq,) each.

    low, high  the least and the largest; moved, whether one was told on another turn than the step
    led to
    """

    low: Tensor
    high: Tensor
    moved: Tensor

    def add(self, told: Tensor, followed: Tensor) -> None:
        """Count answers (n, nq), as told and as moved to the turn that the step leads to."""
        finite = torch.isfinite(told)
        far = torch.full_like(told, torch.inf)
        self.low = torch.minimum(self.low, torch.where(finite, told, far).amin(0))
        self.high = torch.maximum(self.high, torch.where(finite, told, -far).amax(0))
        self.moved = self.moved | (finite & (told != followed)).any(0)

    @property
    def starts(self) -> tuple[tuple[int, float], ...]:
        """(k, start) of every angle q[k] that was told within [start, start + 2π), from -π or 0,
        and not on the turn that steps led to."""
        found = []
        for k in self.moved.nonzero().flatten().tolist():
            for start in (-math.pi, 0.0):
                low, high = float(self.low[k]) - start, float(self.high[k]) - start
                if low >= -_SAME_ANGLE and high <= 2 * math.pi + _SAME_ANGLE:
                    found.append((k, start))
                    break
        return tuple(found)


class BlackBox:
    """Somebody's model, which can only be queried.

    model(q, v, tau) -> a, or -> (q_next, v_next) when outputs="next_state" with a step dt [s].
    Inputs are handed over as copies in the model's own dtype and on its own device; answers come
    back as float64 on the CPU. `queries` counts the rows asked, `seconds` the time they took.
    With an `actuation`, tau (n, nu) of a query are controls: the model is asked with them, and
    the answers say which joint forces they make. Of a `robot`, angles that follow are read as the
    turn that a step leads to, where the model tells them within one turn (`unwrapped`).

    history   "row" or "call" where an answer depends on the query before it (in the batch, or in
              the same row of the call before); `ask` then puts every query `settling` times in a
              row and keeps the last answer. See `with_history`.
    """

    history: str | None = None
    settling: int = 2

    def __init__(
        self,
        model: Callable,
        nq: int,
        nv: int,
        *,
        outputs: str = "acceleration",
        dt: float | None = None,
        actuation: Actuation | None = None,
        robot: Robot | None = None,
    ):
        if not callable(model):
            raise ModelError(
                f"expected a callable model(q, v, tau), found {type(model).__name__}: "
                "wrap it in a function"
            )
        if outputs not in OUTPUTS:
            raise ModelError(f"expected outputs to be one of {OUTPUTS}, found {outputs!r}")
        if outputs == "next_state" and not _is_step(dt):
            raise ModelError(
                "outputs='next_state' needs the model's time step: expected a number dt > 0 [s], "
                f"found {dt!r}"
            )
        self.model, self.nq, self.nv, self.outputs, self.dt = model, nq, nv, outputs, dt
        self.actuation, self.robot = actuation, robot
        self._call = WithoutGradients(model)
        self._tally = _Tally()
        if robot is not None and outputs == "next_state":
            far = torch.full((nq,), torch.inf, dtype=torch.float64)
            self._tally.told = Turns(low=far, high=-far, moved=torch.zeros(nq, dtype=torch.bool))
        self._dtype, self._device = torch.float64, torch.device("cpu")
        if isinstance(model, torch.nn.Module):
            held: list[Tensor] = [*model.parameters(), *model.buffers()]
            floating = [x for x in held if x.is_floating_point()]
            if floating:
                self._dtype, self._device = floating[0].dtype, floating[0].device

    @property
    def queries(self) -> int:
        """How many states were asked so far."""
        return self._tally.queries

    @property
    def seconds(self) -> float:
        """How long the model took to answer them."""
        return self._tally.seconds

    @property
    def turns(self) -> tuple[tuple[int, float], ...]:
        """(k, start) of every angle q[k] that follows within [start, start + 2π) and not on the
        turn that a step leads to, by the answers so far."""
        return () if self._tally.told is None else self._tally.told.starts

    def with_history(self, history: str, settling: int = 2) -> BlackBox:
        """The same model and the same count, every query put `settling` times in a row."""
        settled = copy.copy(self)
        settled.history, settled.settling = history, settling
        return settled

    def with_actuation(self, actuation: Actuation) -> BlackBox:
        """The same model and the same count, its controls understood otherwise."""
        other = copy.copy(self)
        other.actuation = actuation
        return other

    def ask(self, q: Tensor, v: Tensor, tau: Tensor, *, strict: bool = True) -> Answers:
        """The model's answers to a batch.

        With strict=False, as outside the region, answers that are not finite stay, and where the
        model raises its answer is NaN.
        """
        if self.history is not None:
            return self.after((q, v, tau), None, strict=strict)[0]
        return self._put(q, v, tau, strict=strict)

    def _put(self, q: Tensor, v: Tensor, tau: Tensor, *, strict: bool) -> Answers:
        if not len(q):
            return self._nothing(q, v, tau)
        started = time.perf_counter()
        ask = self._ask if strict else self._whatever
        parts = [
            ask(q[i : i + _CHUNK], v[i : i + _CHUNK], tau[i : i + _CHUNK])
            for i in range(0, len(q), _CHUNK)
        ]
        self._tally.seconds += time.perf_counter() - started
        self._tally.queries += len(q)
        answers = Answers.concat(parts)
        bad = ~torch.isfinite(answers.a).all(-1)
        if strict and bool(bad.any()):
            row = int(bad.nonzero()[0])
            raise ModelError(
                f"expected finite accelerations, found {int(bad.sum())} of {len(q)} rows with NaN "
                f"or infinity (first at q = {_short(q[row])}): "
                "check the model's scaling, or narrow the region"
            )
        return answers

    def _nothing(self, q: Tensor, v: Tensor, tau: Tensor) -> Answers:
        """The answers to no questions, for which the model is not called."""
        steps = self.outputs == "next_state"
        return Answers(
            q=q,
            v=v,
            a=torch.empty_like(v),
            q_next=torch.empty_like(q) if steps else None,
            v_next=torch.empty_like(v) if steps else None,
            **self._commanded(tau),
        )

    def _commanded(self, tau: Tensor) -> dict[str, Tensor]:
        """The joint forces of a query, and its controls where it has them."""
        if self.actuation is None:
            return {"tau": tau}
        return {"tau": self.actuation.forces(tau), "u": tau}

    def after(
        self, before: Sequence[Tensor], now: Sequence[Tensor] | None, *, strict: bool = True
    ) -> tuple[Answers, Answers]:
        """(answers to `before`, settled, answers to `now`), each of `now` right after its `before`:
        after it in the batch, or in the call before, as `history` says."""
        more = [] if now is None else [now]
        asked = [*([before] * self.settling), *more]
        if self.history == "call":
            calls = [self._put(*x, strict=strict) for x in asked]
            return calls[self.settling - 1], calls[-1]
        rows = (torch.stack(x, 1).flatten(0, 1) for x in zip(*asked, strict=True))
        answers, n = self._put(*rows, strict=strict), len(asked)
        return answers[self.settling - 1 :: n], answers[n - 1 :: n]

    def _whatever(self, q: Tensor, v: Tensor, tau: Tensor) -> Answers:
        """As `_ask`, in halves where the model raises, down to the states that it refuses."""
        try:
            return self._ask(q, v, tau)
        except ModelRaisedError:
            n = len(q)
            if n == 1:
                nothing = torch.full_like(v, torch.nan)
                steps = self.outputs == "next_state"
                return Answers(
                    q=q,
                    v=v,
                    a=nothing,
                    q_next=torch.full_like(q, torch.nan) if steps else None,
                    v_next=nothing if steps else None,
                    **self._commanded(tau),
                )
            halves = (slice(None, n // 2), slice(n // 2, None))
            return Answers.concat([self._whatever(q[i], v[i], tau[i]) for i in halves])

    def _ask(self, q: Tensor, v: Tensor, tau: Tensor) -> Answers:
        given = [x.to(device=self._device, dtype=self._dtype, copy=True) for x in (q, v, tau)]
        kept = [x.clone() for x in given]
        try:
            out = self._call(*given)
        # The model is not ours: whatever it raises is its answer, sys.exit() included.
        except (Exception, SystemExit) as error:
            raise ModelRaisedError(
                f"the model raised {type(error).__name__} on a batch of {len(q)} states: "
                f"{_first_line(error)}"
            ) from error
        for name, before, after in zip(("q", "v", "tau"), kept, given, strict=True):
            if not unchanged(before, after):
                raise ModelError(
                    f"the model changed its input {name} in place: copy it inside the model"
                )
        if self.outputs == "acceleration":
            a = self._tensor(out, (len(q), self.nv), "a")
            return Answers(q=q, v=v, a=a, **self._commanded(tau))
        if not (isinstance(out, (tuple, list)) and len(out) == 2):
            raise ModelError(
                f"expected (q_next, v_next) from a next-state model, found {type(out).__name__}"
            )
        q_next = self._tensor(out[0], (len(q), self.nq), "q_next")
        v_next = self._tensor(out[1], (len(q), self.nv), "v_next")
        assert self.dt is not None
        a = (v_next - v) / self.dt
        if self.robot is not None:
            as_told = q_next
            q_next = unwrapped(self.robot, q, as_told, 0.5 * self.dt * (v + v_next))
            if self._tally.told is not None and len(q):
                self._tally.told.add(as_told, q_next)
        return Answers(q=q, v=v, a=a, q_next=q_next, v_next=v_next, **self._commanded(tau))

    def _tensor(self, out, shape: tuple[int, int], name: str) -> Tensor:
        if not isinstance(out, (Tensor, np.ndarray)):
            raise ModelError(
                f"expected {name} as a tensor of shape {shape}, found {type(out).__name__}"
            )
        out = torch.as_tensor(out)
        if tuple(out.shape) != shape:
            raise ModelError(
                f"expected {name} of shape {shape} for {shape[0]} states, "
                f"found {tuple(out.shape)}: the last axis is the coordinate"
            )
        if not out.is_floating_point():
            raise ModelError(f"expected {name} in floating point, found {out.dtype}")
        return out.detach().to(device="cpu", dtype=torch.float64)


def unwrapped(robot: Robot, q: Tensor, q_next: Tensor, way: Tensor | None = None) -> Tensor:
    """q_next (n, nq) with hinge angles moved by whole turns to within half a turn of q (n, nq), or
    of q moved by `way` (n, nv): simulators and sensors may tell angles within (-π, π]."""
    out = q_next
    for name, kind in zip(robot.independent_names, robot.independent_kinds, strict=True):
        if kind not in TURNING:
            continue
        i, j = robot.q_slice(name).start, robot.v_slice(name).start
        expected = q[:, i] if way is None else q[:, i] + torch.nan_to_num(way[:, j])
        turns = ((expected - q_next[:, i]) / (2 * math.pi)).round()
        turned = torch.isfinite(turns) & (turns != 0)
        if bool(turned.any()):
            out = out.clone() if out is q_next else out
            out[turned, i] += 2 * math.pi * turns[turned]
    return out


def _is_step(dt: Any) -> bool:
    number = isinstance(dt, numbers.Real) and not isinstance(dt, bool)
    return number and math.isfinite(dt) and dt > 0


def _short(x: Tensor) -> str:
    return "(" + ", ".join(f"{float(c):.3g}" for c in x[:8]) + (", …)" if len(x) > 8 else ")")


def unchanged(before: Tensor, after: Tensor) -> bool:
    """Whether a tensor kept its shape and every number, NaN included: a forecast that has left all
    bounds asks with NaN, which equals nothing by itself."""
    if before.shape != after.shape:
        return False
    return bool(((before == after) | (before.isnan() & after.isnan())).all())


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:200] if text else "no message"
