"""Actions of a network: which controls they are, in which order and units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from discover.errors import ModelError

_OPTIONS = ("order", "scale", "offset", "clip", "range")


class ActionLayout:
    """action = clip(scale · u[order] + offset), and back without the clipping.

    names  of the controls u, in order
    given  None (the controls as they are), a list of names in the action's order, or a mapping with
           order, scale, offset and clip; or with range = [low, high], the controls (each a number
           or one each) at which the action is -1 and 1. Raises ModelError.
    """

    def __init__(self, names: Sequence[str], given: Any = None) -> None:
        self.names = tuple(names)
        if isinstance(given, str):
            given = [given]
        options = dict(given) if isinstance(given, Mapping) else {"order": given}
        for key in options:
            if key not in _OPTIONS:
                raise ModelError(
                    f"action: expected {', '.join(_OPTIONS)}, found '{key}'; such as "
                    'action = {order = ["elbow"], range = [-1.0, 1.0]}'
                )
        order = options.get("order")
        if order is not None and not (
            isinstance(order, Sequence) and all(isinstance(name, str) for name in order)
        ):
            raise ModelError(f"action: expected names of controls, found {order!r}")
        chosen = list(self.names) if order is None else list(order)
        for name in chosen:
            if name not in self.names:
                raise ModelError(
                    f"action: expected controls among {', '.join(self.names)}, found '{name}'"
                )
        if len(set(chosen)) < len(chosen):
            raise ModelError(f"action: expected each control once, found {', '.join(chosen)}")
        self.index = [self.names.index(name) for name in chosen]
        self.size = len(chosen)
        scale = self._numbers("scale", options.get("scale", 1.0))
        offset = self._numbers("offset", options.get("offset", 0.0))
        if options.get("range") is not None:
            low, high = self._range(options["range"])
            scale, offset = 2 / (high - low), -(high + low) / (high - low)
        if not scale.all():
            raise ModelError("action: scale: expected no zero")
        self.scale, self.offset = torch.from_numpy(scale), torch.from_numpy(offset)
        clip = options.get("clip")
        self.clip = None if clip is None else float(clip)
        self.declared = {key: value for key, value in options.items() if value is not None}

    def _numbers(self, name: str, given: Any) -> np.ndarray:
        try:
            values = np.broadcast_to(np.asarray(given, dtype=np.float64), (self.size,)).copy()
        except (TypeError, ValueError):
            raise ModelError(
                f"action: {name}: expected a number or {self.size} of them, found {given!r}"
            ) from None
        if not np.isfinite(values).all():
            raise ModelError(f"action: {name}: expected finite numbers, found {given!r}")
        return values

    def _range(self, given: Any) -> tuple[np.ndarray, np.ndarray]:
        if not isinstance(given, Sequence) or len(given) != 2:
            raise ModelError(f"action: range: expected (low, high), found {given!r}")
        low, high = (self._numbers("range", side) for side in given)
        if not (low < high).all():
            raise ModelError(f"action: range: expected low < high, found {given!r}")
        return low, high

    def of(self, u: Tensor) -> Tensor:
        """The action (…, size) of controls u (…, nu)."""
        if u.shape[-1] != len(self.names):
            raise ModelError(
                f"u: expected {len(self.names)} controls ({', '.join(self.names)}), found "
                f"{u.shape[-1]}"
            )
        out = u[..., self.index] * self.scale.to(u) + self.offset.to(u)
        return out if self.clip is None else out.clamp(-self.clip, self.clip)

    def controls(self, action: Any) -> Tensor:
        """The controls u (…, nu) of an action (…, size); a control that is no action is 0."""
        action = torch.as_tensor(action).to(torch.float64)
        if action.shape[-1:] != (self.size,):
            raise ModelError(
                f"action: expected {self.size} numbers, found shape {tuple(action.shape)}"
            )
        u = action.new_zeros(*action.shape[:-1], len(self.names))
        u[..., self.index] = (action - self.offset.to(action)) / self.scale.to(action)
        return u
