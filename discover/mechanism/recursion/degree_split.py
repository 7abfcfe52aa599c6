"""tau split by degree: what is linear in a, left at rest, even in v, and odd in v."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from discover.mechanism.geometry.screws import Array
from discover.mechanism.local_dynamics import DynamicsSampler

_FLOOR = 1e-9


@dataclass(frozen=True, kw_only=True, eq=False)
class DegreeSplit:
    """What the model shows at n states: H, forces at rest, and the even and odd part in v.

    H_scale (nv, nv) and scale (nv,) are what misfits are counted in: sizes, or where answers
    scatter their deviations, with `floor` the misfit at which nothing is left to explain.
    `departure` from H(q) a + g + v + v² by degree, beside `chance`, what noise makes of it.
    """

    q: Array
    v: Array
    H: Array
    rest: Array
    even: Array
    odd: Array
    H_scale: Array
    scale: Array
    sizes: tuple[Array, Array]
    departure: dict[str, float]
    chance: float
    floor: float

    @property
    def rounding(self) -> float:
        """The misfit below which no program is better than another: there deviations are never as
        exact as the differences that noise leaves between programs."""
        return min(self.floor, _FLOOR)


def split_by_degree(sampler: DynamicsSampler, n: int, width: float = 1.0) -> DegreeSplit:
    """Answers at n states, split by degree."""
    depth = 16 if sampler.noisy else 1
    if sampler.noisy:
        n *= 3
    # What v² does grows outward, noise does not.
    q, v = sampler.draw(n, width), sampler.draw_velocities(n, max(width, 3.0 * sampler.noisy))
    at_rest = sampler.at(q, replicates=depth)
    ahead, back = sampler.at(q, v, depth), sampler.at(q, -v, depth)
    double = sampler.at(q[: n // 3], 2 * v[: n // 3], depth)
    reverse = sampler.at(q[: n // 3], -2 * v[: n // 3], depth)
    even = 0.5 * (ahead.force + back.force) - at_rest.force
    odd = 0.5 * (ahead.force - back.force)
    few = slice(0, n // 3)
    even2 = 0.5 * (double.force + reverse.force) - at_rest.force[few]
    odd2 = 0.5 * (double.force - reverse.force)
    own = np.sqrt(np.abs(np.einsum("nii->ni", at_rest.H)).mean(0)) + 1e-300
    size = float(np.sqrt(np.mean((np.concatenate([even, at_rest.force]) / own) ** 2))) + 1e-300

    def share(x: Array) -> float:
        return float(np.sqrt(np.mean((x / own) ** 2))) / size

    departure = {
        "v⁴": share(even2 - 4 * even[few]),
        "v³": share(odd2 - 2 * odd[few]),
        "v² a": float(np.sqrt(np.mean(((ahead.H - at_rest.H) / np.outer(own, own)) ** 2))),
        "a²": sampler.noise,
    }
    H_size, push = np.outer(own, own), own * size
    H_scale, scale, floor = H_size, push, _FLOOR
    if sampler.noisy:
        H_scale = np.sqrt((at_rest.H_deviation**2).mean(0))
        scale = np.sqrt((at_rest.force_deviation**2).mean(0) + (ahead.force_deviation**2).mean(0))
        floor = 1.0
    return DegreeSplit(
        q=q, v=v, H=at_rest.H, rest=at_rest.force, even=even, odd=odd, H_scale=H_scale,
        scale=scale, sizes=(H_size, push), departure=departure,
        chance=10 * share(double.force_deviation), floor=floor,
    )  # fmt: skip
