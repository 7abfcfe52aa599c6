"""Joint forces split by degree: linear in a, static, even in v and odd in v."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from discover.judgement.thresholds import whole
from discover.mechanism.geometry.screws import Array
from discover.mechanism.local_dynamics import EXACT, DynamicsSampler

_REPLICATES = whole("mechanism.recursion_replicates")
_MORE_STATES = 3  # times as many where answers are noisy
_WIDER = 3.0  # half-widths of v where answers are noisy: what v² does grows outward, noise doesn't


@dataclass(frozen=True, kw_only=True, eq=False)
class DegreeSplit:
    """tau = H(q) a + rest(q) + odd(q, v) + even(q, v) of a model at n states.

    q, v       (n, nq), (n, nv) the states
    H          (n, nv, nv)
    rest       (n, nv) static force
    even, odd  (n, nv) the parts of the force that are even and odd in v, without the static force
    H_scale    (nv, nv), scale (nv,): units of misfits, sizes of the entries or, where answers are
               noisy, standard deviations
    sizes      the same as sizes whatever the noise
    departure  by degree, what is not of the form H(q) a + g(q) + linear and quadratic in v,
               relative; `chance` the size that noise alone gives it
    floor      misfit at which nothing is left to explain
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
        """The misfit below which no program counts as better than another, relative or in standard
        deviations, which are never as exact as the differences that noise leaves."""
        return min(self.floor, EXACT)


def split_by_degree(sampler: DynamicsSampler, n: int, width: float = 1.0) -> DegreeSplit:
    """Answers at n states, three times as many under noise, split by degree.

    width   half-widths of the region within which q and v are drawn
    """
    replicates = _REPLICATES if sampler.noisy else 1
    if sampler.noisy:
        n *= _MORE_STATES
    q = sampler.draw(n, width)
    v = sampler.draw_velocities(n, max(width, _WIDER * sampler.noisy))
    static = sampler.at(q, replicates=replicates)
    ahead, back = sampler.at(q, v, replicates), sampler.at(q, -v, replicates)
    few = slice(0, n // 3)
    double = sampler.at(q[few], 2 * v[few], replicates)
    reverse = sampler.at(q[few], -2 * v[few], replicates)
    even = 0.5 * (ahead.force + back.force) - static.force
    odd = 0.5 * (ahead.force - back.force)
    even2 = 0.5 * (double.force + reverse.force) - static.force[few]
    odd2 = 0.5 * (double.force - reverse.force)
    root = np.sqrt(np.abs(np.einsum("nii->ni", static.H)).mean(0)) + 1e-300  # of each inertia
    size = float(np.sqrt(np.mean((np.concatenate([even, static.force]) / root) ** 2))) + 1e-300

    def share(x: Array) -> float:
        return float(np.sqrt(np.mean((x / root) ** 2))) / size

    departure = {
        "v⁴": share(even2 - 4 * even[few]),
        "v³": share(odd2 - 2 * odd[few]),
        "v² a": float(np.sqrt(np.mean(((ahead.H - static.H) / np.outer(root, root)) ** 2))),
        "a²": sampler.noise,
    }
    H_size, force_size = np.outer(root, root), root * size
    H_scale, scale, floor = H_size, force_size, EXACT
    if sampler.noisy:
        H_scale = np.sqrt((static.H_deviation**2).mean(0))
        scale = np.sqrt((static.force_deviation**2).mean(0) + (ahead.force_deviation**2).mean(0))
        floor = 1.0
    return DegreeSplit(
        q=q, v=v, H=static.H, rest=static.force, even=even, odd=odd, H_scale=H_scale,
        scale=scale, sizes=(H_size, force_size), departure=departure,
        chance=10 * share(double.force_deviation), floor=floor,
    )  # fmt: skip
