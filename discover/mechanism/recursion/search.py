"""The search for the recursion that a model computes, over all programs of the language.

tau is split by degree with wide probes: what is linear in a, what is left at rest, what is even
and what is odd in v. The block of a comes by least squares, the root vector from the forces at
rest, rotors, drags and springs where bodies leave something, the blocks of v² from all subsets of
up to three with free real coefficients; the best of each size are refitted jointly (parameters,
root, coefficients); the shortest description wins.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace

import numpy as np

from discover.mechanism.geometry.screws import Array, ScrewTree
from discover.mechanism.local_dynamics import DynamicsSampler
from discover.mechanism.recursion.block_selection import (
    distinct,
    drag_block,
    finalists,
    inertia_block,
    length,
    looser_finalists,
    root_block,
    unseen,
)
from discover.mechanism.recursion.degree_split import DegreeSplit, split_by_degree
from discover.mechanism.recursion.grammar import (
    Block,
    Samples,
    ScalarTerm,
    root_blocks,
    velocity_blocks,
)
from discover.mechanism.recursion.refit import Fit, refit

_EQUIVALENT = 1e-7
_FAIR = 1.3
_MORE = 0.95


@dataclass(frozen=True, kw_only=True, eq=False)
class Recursion:
    """A program of the language with its numbers.

    inertia, root         one block each
    velocity              blocks of v² with `coefficients`
    scalar_terms          rotors, drags, springs, where bodies alone leave something
    parameters (nb, 10); root_vector (6,)
    error, held_out       relative misfit of tau, fitted and in the shell beyond
    """

    tree: ScrewTree
    screws: Array
    inertia: Block
    root: Block | None
    velocity: tuple[Block, ...]
    scalar_terms: tuple[ScalarTerm, ...]
    coefficients: Array
    parameters: Array
    root_vector: Array
    error: float
    held_out: float
    by_degree: dict[str, float]
    length: float
    runner_up: float
    programs: int
    blocks: dict[str, int]
    departure: dict[str, float]
    equivalent: bool
    queries: int
    seconds: float

    def told(self) -> str:
        """What was found, in a sentence."""
        holds = "is equivalent to" if self.equivalent else "comes closest to, without equalling,"
        return (
            f"The model {holds} a recursion of {len(self.velocity)} velocity terms found among "
            f"{self.programs:.1e} programs; it misses {self.held_out:.1e} of tau at three "
            "half-widths."
        )


def search(
    sampler: DynamicsSampler,
    tree: ScrewTree,
    screws: Array,
    *,
    states: int = 24,
    shell: float = 3.0,
) -> Recursion:
    """The program of the language that predicts the model best for its length."""
    started, before = time.perf_counter(), sampler.blackbox.queries
    nv = len(tree.parents)
    data = split_by_degree(sampler, max(states, 3 * min(nv, 8)))
    samples = Samples(tree, screws, data.q, data.v)
    inertia, rotor, a_count = inertia_block(samples, data)
    if rotor is not None:
        samples = samples.with_rotors(inertia, rotor)
    root, root_vector, phi, spring = root_block(samples, data, inertia)
    if spring is not None:
        data = replace(
            data, rest=data.rest - (samples.block(spring.block) @ spring.numbers)[..., 0]
        )
    drag = drag_block(samples, data)
    blocks, values = distinct(samples, velocity_blocks())
    values = [Y[:, :, 0] for Y in values]
    race = _Race(samples, data, inertia, root, root_vector, blocks, values)
    race.run(finalists(samples, data, values, phi))
    if sampler.noisy and race.best.error > _FAIR * data.floor:
        # Parameters that explain some of v² show better which blocks explain the rest.
        race.run(finalists(samples, data, values, race.best.phi))
    if race.best.error > (_FAIR * data.floor if sampler.noisy else _EQUIVALENT):
        # Or the blocks depend on parameters that nothing else shows.
        free = unseen(samples, data, inertia, root, root_vector)
        race.run(looser_finalists(data, values, phi, free))
    chosen = tuple(blocks[k] for k in race.winner)
    bodies, numbers = np.split(race.best.phi, [10 * samples.nb])
    rotors = None if rotor is None else ScalarTerm(rotor, numbers)
    k = len(blocks)
    count = a_count * len(root_blocks()) * (1 + k + math.comb(k, 2) + math.comb(k, 3))
    recursion = Recursion(
        tree=tree,
        screws=samples.screws,
        inertia=inertia,
        root=root,
        velocity=chosen,
        scalar_terms=tuple(own for own in (rotors, drag, spring) if own is not None),
        coefficients=race.best.coefficients,
        parameters=bodies.reshape(-1, 10),
        root_vector=race.best.root,
        error=race.best.error,
        held_out=np.inf,
        by_degree={},
        length=race.lengths[race.winner],
        runner_up=race.runner_up,
        programs=count,
        blocks={"a": a_count, "v²": k, "root": len(root_blocks())},
        departure=data.departure,
        equivalent=False,
        queries=0,
        seconds=0.0,
    )
    far = split_by_degree(sampler, max(12, nv), shell)
    by_degree = misfits(recursion, far)
    held = max(by_degree.values())
    # What repeats itself is no noise: a table is not let off for its steps.
    excused = sampler.excused
    clean = max(data.departure.values()) <= max(_EQUIVALENT, 3 * data.chance * excused)
    limit = max(_EQUIVALENT, 3 * far.chance * excused)
    fits = recursion.error <= (_FAIR if excused else _EQUIVALENT)
    return replace(
        recursion,
        by_degree=by_degree,
        held_out=held,
        equivalent=clean and held <= limit and fits,
        queries=sampler.blackbox.queries - before,
        seconds=time.perf_counter() - started,
    )


class _Race:
    """Subsets of blocks of v² with their description lengths, refitted where that can matter."""

    def __init__(
        self,
        samples: Samples,
        data: DegreeSplit,
        inertia: Block,
        root: Block | None,
        root_vector: Array,
        blocks: list[Block],
        values: list[Array],
    ):
        self._fit = lambda final: refit(
            samples, data, inertia, root, [values[k] for k in final], root_vector
        )
        self._length = lambda error, final: length(error, data.rounding, [blocks[k] for k in final])
        self._noisy = data.floor > data.rounding
        self.fits: dict[tuple[int, ...], Fit] = {}
        self.lengths: dict[tuple[int, ...], float] = {}

    def run(self, finals: list[tuple[int, ...]]) -> None:
        """Refit what could still be the shortest; the others are counted at the least they cost."""
        for final in finals:
            if final in self.fits:
                continue
            least = self._length(self._hope(), final)
            if self.fits and least >= self.lengths[self.winner]:
                self.lengths[final] = least
                continue
            self.fits[final] = self._fit(final)
            self.lengths[final] = self._length(self.fits[final].error, final)

    def _hope(self) -> float:
        """A misfit that no further program will be below: once one is down to noise, the share
        of it that a few more numbers can take up."""
        recursion = min((f.error for f in self.fits.values()), default=np.inf)
        return _MORE * recursion if self._noisy and recursion < 1.0 else 0.0

    @property
    def winner(self) -> tuple[int, ...]:
        return min(self.fits, key=lambda f: self.lengths[f])

    @property
    def best(self) -> Fit:
        return self.fits[self.winner]

    @property
    def runner_up(self) -> float:
        """Length of the second, infinite where there is none."""
        return min((x for f, x in self.lengths.items() if f != self.winner), default=math.inf)


def misfits(recursion: Recursion, data: DegreeSplit) -> dict[str, float]:
    """Relative misfit of each part of tau at other states."""
    samples = Samples(recursion.tree, recursion.screws, data.q, data.v)
    phi = recursion.parameters.ravel()
    H_size, size = data.sizes
    own = {"rotor": np.zeros_like(data.H), "drag": np.zeros_like(data.odd)[..., None]}
    own["spring"] = own["drag"].copy()
    for other in recursion.scalar_terms:
        own[other.block.form] = samples.block(other.block) @ other.numbers
    H = samples.block(recursion.inertia) @ phi + own["rotor"]
    result = {"a": float(np.sqrt(np.mean(((H - data.H) / H_size) ** 2)))}
    even = np.zeros_like(data.even)
    for c, b in zip(recursion.coefficients, recursion.velocity, strict=True):
        even = even + c * (samples.block(b) @ phi)[..., 0]
    rest = own["spring"][..., 0]
    if recursion.root is not None:
        rest = rest + (samples.block(recursion.root) @ phi) @ recursion.root_vector
    odd = own["drag"][..., 0]
    parts = (("v²", even, data.even), ("rest", rest, data.rest), ("v", odd, data.odd))
    for name, mine, its in parts:
        result[name] = float(np.sqrt(np.mean(((mine - its) / size) ** 2)))
    return result
