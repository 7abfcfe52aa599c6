"""The root vector that forces at rest show, and springs beside it.

Gravity is a vector at the base that is carried outward, times what bodies have of mass: bilinear in
the two, so each is fitted with the other held, in turns, to these forces and to H together. Where
no vector explains the forces, joints may have springs of their own.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from discover.mechanism.geometry.alternatives import above_noise, truncated
from discover.mechanism.geometry.screws import Array
from discover.mechanism.recursion.block_selection import LEFT, Probes, distinct, length
from discover.mechanism.recursion.grammar import Block, Own, Samples, own_blocks, root_blocks


def root_block(
    samples: Samples, data: Probes, inertia: Block
) -> tuple[Block | None, Array, Array, Own | None]:
    """The carried root vector that the forces at rest show, with parameters (p,) fitted to them and
    to H; and springs, where no root vector explains these forces."""
    weight = 1.0 / data.H_scale
    rows = (samples.block(inertia) * weight[None, :, :, None]).reshape(-1, samples.parameters)
    y = (data.H * weight).ravel()
    solved = truncated if data.floor < 1.0 else above_noise
    phi = solved(rows, y)
    push = data.rest / data.scale
    if np.sqrt(np.mean(push**2)) <= 3 * data.floor:
        return None, np.zeros(6), phi, None
    rest = _AtRest(rows, y, push.ravel(), phi, solved, data.rounding)
    bare = [(b, samples.block(b) / data.scale[None, :, None, None]) for b in root_blocks()]
    nothing = np.zeros((push.size, 0))
    value, block, root, x = rest.best(bare, nothing, [])
    if rest.least <= LEFT * data.floor:
        return block, root, x[: len(phi)], None
    chosen: Own | None = None
    springs, values = distinct(samples, own_blocks("spring"))
    for k, (spring, Y) in enumerate(zip(springs, values, strict=True)):
        K = (Y[:, :, 0] / data.scale[None, :, None]).reshape(push.size, -1)
        alone = rest.alone(K, spring)
        # The first is tried with every way to carry the root vector, the others with the best.
        tried = bare if k == 0 else [(b, Z) for b, Z in bare if b == block]
        for found in (alone, rest.best(tried, K, [spring])):
            if found[0] < value - 1e-9:
                value, block, root, x = found
                chosen = Own(spring, x[len(phi) :])
    return block, root, x[: len(phi)], chosen


_Weighed = tuple[float, Block | None, Array, Array]


class _AtRest:
    """Fits of H and the forces at rest together: parameters, a root vector, numbers of springs."""

    def __init__(
        self,
        rows: Array,
        y: Array,
        push: Array,
        phi: Array,
        solved: Callable[[Array, Array], Array],
        rounding: float,
    ):
        self.rows, self.y, self.push, self.phi = rows, y, push, phi
        self.solved, self.rounding = solved, rounding
        self.least = np.inf

    def best(self, blocks: list[tuple[Block, Array]], K: Array, others: list[Block]) -> _Weighed:
        """The root block (values (n, nv, 6, p)) of least description length, beside K (r, k)."""
        best: _Weighed = (np.inf, None, np.zeros(6), self.phi)
        for b, Y in blocks:
            # From the parameters that H shows, then from weight along each axis.
            shown = np.linalg.lstsq((Y @ self.phi).reshape(-1, 6), self.push, rcond=1e-9)[0]
            for start in (shown, *(9.81 * np.eye(6)[3:])):
                loss, root, x = self._from(start, Y, K)
                self.least = min(self.least, loss)
                value = length(loss, self.rounding, [b, *others])
                if value < best[0] - 1e-9:
                    best = (value, b, root, x)
                if loss < self.rounding:
                    break
        return best

    def alone(self, K: Array, spring: Block) -> _Weighed:
        """Springs without a root vector."""
        k = self.solved(K, self.push)
        left = np.concatenate([K @ k - self.push, self.rows @ self.phi - self.y])
        value = length(float(np.sqrt(np.mean(left**2))), self.rounding, [spring])
        return value, None, np.zeros(6), np.concatenate([self.phi, k])

    def _from(self, root: Array, Y: Array, K: Array) -> tuple[float, Array, Array]:
        """Parameters and springs, then the root vector, in turns: (misfit, root, x (p + k,))."""
        p = len(self.phi)
        x = np.zeros(p + K.shape[1])
        loss = np.inf
        above = np.hstack([self.rows, np.zeros((len(self.y), K.shape[1]))])
        for _ in range(25):
            new = np.einsum("njkp,k->njp", Y, root).reshape(-1, p)
            design = np.concatenate([above, np.hstack([new, K])])
            x = self.solved(design, np.concatenate([self.y, self.push]))
            J, pulled = (Y @ x[:p]).reshape(-1, 6), K @ x[p:] - self.push
            root = np.linalg.lstsq(J, -pulled, rcond=1e-9)[0]
            left = np.concatenate([J @ root + pulled, self.rows @ x[:p] - self.y])
            last, loss = loss, float(np.sqrt(np.mean(left**2)))
            if loss > 0.9 * last or loss < self.rounding:
                break
        return loss, root, x
