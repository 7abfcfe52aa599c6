"""A law behind the interface of a network: (observation, action) -> next observation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from discover.errors import ModelError
from discover.laws.rigid_body import stepping
from kinematics.programs import CompiledProgram

_NEEDED = ("states", "controls", "predicts")


class Observer(Protocol):
    """What writes states as observations; `discover.wrap` gives one."""

    predicts: Any  # .observe(q, v) -> next observation (…, size)

    def states(self, observation: Any) -> tuple[Tensor, Tensor]: ...
    def controls(self, action: Any) -> Tensor: ...


class LawModel:
    """model(observation, action) -> next observation, batched, of a law's steps.

    Arrays and tensors, answers in the observation's kind and dtype. Compiled for numbers; where
    torch follows observation or action (gradients, vmap), the answer is in its graph. In a
    roll-out, where the observation is the one that was answered last, the state behind it is known
    and not read from it again, if the observation shows all of the state.
    """

    def __init__(self, law: Any, observer: Observer) -> None:
        self.law, self.observer = law, observer
        self._whole = _shows_all(observer)
        self._last: tuple[Tensor, Tensor, Tensor] | None = None
        fused = getattr(observer, "fused_step", None)
        self._program = None if fused is None else fused(law, stepping.step_of(law.step_map, None))

    def __repr__(self) -> str:
        return f"LawModel({self.law!r})"

    def __call__(self, observation: Any, action: Any) -> Any:
        plain = isinstance(observation, np.ndarray)
        if plain and self._program is not None and not isinstance(action, Tensor):
            answer = self._program(observation, np.asarray(action))
            single = observation.dtype.kind == "f" and observation.dtype != answer.dtype
            return answer.astype(observation.dtype) if single else answer
        seen, action = _tensor(observation), _tensor(action)
        if stepping.followed(seen, action):
            return self._differentiable(seen, action)
        seen, action = seen.detach(), action.detach()
        if self._program is not None:
            answer = self._fused(self._program, seen, action)
        else:
            answer = self._eager(seen, action)
        return answer.numpy() if plain else answer

    def _differentiable(self, observation: Tensor, action: Tensor) -> Tensor:
        """The answer in torch's graph. The state is read from the observation each time, for a
        gradient may be asked at any of them."""
        dtype = observation.dtype if observation.is_floating_point() else torch.float64
        if self._program is not None:
            x, u = observation.to(torch.float64), action.to(observation.device, torch.float64)
            return self._program(x, u).to(dtype)
        self._last = None
        q, v = self.observer.states(observation)
        q, v = self.law.step(q, v, self.observer.controls(action).to(q))
        return self.observer.predicts.observe(q, v).to(dtype)

    def _eager(self, given: Tensor, action: Tensor) -> Tensor:
        q, v = self._state(given)
        with torch.no_grad():
            q, v = self.law.step(q, v, self.observer.controls(action).to(q))
            answer: Tensor = self.observer.predicts.observe(q, v)
        if given.is_floating_point():
            answer = answer.to(given.dtype)
        if self._whole:
            self._last = answer.clone(), q, v
        return answer

    def _fused(self, program: CompiledProgram, observation: Tensor, action: Tensor) -> Tensor:
        if not observation.is_floating_point():
            observation = observation.to(torch.float64)
        if not stepping.for_machine_code(observation):
            return program(observation, action)
        answer = torch.from_numpy(program(observation.numpy(), action.cpu().numpy()))
        return answer.to(observation.dtype)

    def _state(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        if self._last is not None:
            before, q, v = self._last
            if before.shape == observation.shape and torch.equal(before, observation):
                return q, v
        q, v = self.observer.states(observation)
        return q, v


def _tensor(x: Any) -> Tensor:
    """What is given as a tensor; lists of numbers in double precision."""
    numbers = isinstance(x, Tensor | np.ndarray)
    return torch.as_tensor(x) if numbers else torch.as_tensor(x, dtype=torch.float64)


def _shows_all(observer: Observer) -> bool:
    """Whether an answer says as much as the state behind it: nothing is left open or clipped."""
    layout = getattr(observer, "observation", None)
    if layout is None or layout is not observer.predicts:
        return False
    open_ = getattr(layout, "undetermined", True) or getattr(layout, "velocities_missing", True)
    ends = [x for c in getattr(layout, "channels", ()) for x in (c.low, c.high)]
    return not open_ and bool(ends) and not any(np.isfinite(x).any() for x in ends)


def behind_interface(law: Any, observer: Any) -> Callable[..., Any]:
    """`LawModel` of a law and what `discover.wrap` gave. Raises ModelError, one line."""
    if observer is None:
        raise ModelError(
            "expected a model over observations, found a law that was taken from states; give the "
            "wrapped network: law.as_model(discover.wrap(net, robot, observation=…))"
        )
    missing = [name for name in _NEEDED if not hasattr(observer, name)]
    if missing:
        raise ModelError(
            f"expected a model over observations, as discover.wrap gives, found "
            f"{type(observer).__name__} without {', '.join(missing)}"
        )
    return LawModel(law, observer)
