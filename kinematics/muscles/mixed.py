"""Muscles of several families in one model: one law of force made of several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kinematics.errors import RobotError
from kinematics.muscles.curves import Forces, by_muscle


@dataclass(frozen=True, kw_only=True, eq=False)
class MixedForces:
    """Several laws, each of some of the muscles, see `kinematics.muscles.curves.Forces`.

    laws        the laws
    members     the muscles (their numbers) of each law, in its order

    Fibre lengths that are states stand in the order of the muscles they belong to.
    """

    laws: tuple[Any, ...]
    members: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        numbers = sorted(i for part in self.members for i in part)
        fits = len(self.laws) == len(self.members) and numbers == list(range(len(numbers)))
        if not fits or any(
            law.nm != len(part) for law, part in zip(self.laws, self.members, strict=True)
        ):
            raise RobotError(
                f"expected every muscle in one law of force, found members {self.members}; "
                "number the muscles from 0, each once"
            )

    @classmethod
    def of(cls, laws: Sequence[tuple[Sequence[int], Forces]]) -> Forces:
        """One law of (muscles, their law) pairs; of a single law of all in order, that law."""
        if len(laws) == 1 and tuple(laws[0][0]) == tuple(range(len(laws[0][0]))):
            return laws[0][1]
        return cls(
            laws=tuple(law for _, law in laws), members=tuple(tuple(part) for part, _ in laws)
        )

    @property
    def nm(self) -> int:
        """Number of muscles."""
        return sum(map(len, self.members))

    @property
    def nf(self) -> int:
        """Number of fibres whose length is a state."""
        return sum(law.nf for law in self.laws)

    def force(self, length: Any, rate: Any, activation: Any, fibre: Tensor | None = None) -> Tensor:
        """Tension (…, nm) [N], see `curves.Forces.force`."""
        given = by_muscle(self.nm, length=length, rate=rate, activation=activation)
        own = self._fibres(fibre)
        return self._joined(
            [
                law.force(*(x[..., list(part)] for x in given), f)
                for law, part, f in zip(self.laws, self.members, own, strict=True)
            ],
            self.members,
        )

    def activation_rate(self, u: Any, activation: Any) -> Tensor:
        """ȧ (…, nm) [1/s] of excitations u (…, nm)."""
        given = by_muscle(self.nm, u=u, activation=activation)
        return self._joined(
            [
                law.activation_rate(*(x[..., list(part)] for x in given))
                for law, part in zip(self.laws, self.members, strict=True)
            ],
            self.members,
        )

    def equilibrium(self, length: Any, activation: Any) -> Tensor:
        """Fibre lengths (…, nf) [m] at which fibres at rest balance their tendons."""
        given = by_muscle(self.nm, length=length, activation=activation)
        return self._joined(
            [
                law.equilibrium(*(x[..., list(part)] for x in given))
                for law, part in zip(self.laws, self.members, strict=True)
            ],
            self._states(),
        )

    def fibre_rate(self, length: Any, rate: Any, activation: Any, fibre: Any) -> Tensor:
        """Rates (…, nf) [m/s] of the fibre lengths."""
        given = by_muscle(self.nm, length=length, rate=rate, activation=activation)
        own = self._fibres(torch.as_tensor(fibre))
        return self._joined(
            [
                law.fibre_rate(*(x[..., list(part)] for x in given), f)
                for law, part, f in zip(self.laws, self.members, own, strict=True)
            ],
            self._states(),
        )

    def _states(self) -> list[tuple[int, ...]]:
        """Which fibre lengths belong to each law."""
        elastic = sorted(
            i for law, part in zip(self.laws, self.members, strict=True) if law.nf for i in part
        )
        place = {muscle: k for k, muscle in enumerate(elastic)}
        return [
            tuple(place[i] for i in part) if law.nf else ()
            for law, part in zip(self.laws, self.members, strict=True)
        ]

    def _fibres(self, fibre: Tensor | None) -> list[Tensor | None]:
        if fibre is None:
            return [None] * len(self.laws)
        return [fibre[..., list(part)] for part in self._states()]

    @staticmethod
    def _joined(parts: Sequence[Tensor], places: Sequence[Sequence[int]]) -> Tensor:
        """The columns of the parts in the places that they belong to."""
        order = [i for part in places for i in part]
        back = torch.argsort(torch.tensor(order, dtype=torch.long))
        return torch.cat(list(parts), -1)[..., back.to(parts[0].device)]
