"""Search for the recursion that a model computes, over all programs of the grammar.

tau is split by degree on answers at any state: linear in a, static, even and odd in v. The inertia
block comes by least squares, the root vector from static forces, rotors, drags and springs where
bodies don't suffice, the velocity blocks from all subsets of up to three with free real
coefficients. The best of each size are refitted jointly (parameters, root vector, coefficients);
the shortest description wins and is tested on fresh answers out to three half-widths.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace

import numpy as np

from discover.judgement.thresholds import threshold
from discover.mechanism.geometry.screws import Array, ScrewTree
from discover.mechanism.local_dynamics import DynamicsSampler
from discover.mechanism.recursion.block_selection import (
    FINALISTS,
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

EQUIVALENT = threshold("mechanism.equivalent")
_FAIR = threshold("mechanism.fair_deviations")
_CHANCE = threshold("mechanism.chance")
_NOISE_ABSORBED = threshold("mechanism.noise_absorbed")
_REFIT_BUDGET = threshold("mechanism.refit_operations")
_VALUES = threshold("mechanism.velocity_values")
_REFIT_STEPS = 20  # of the solver in `refit`
STATES = 24  # a dozen equations for each of a body's ten parameters


@dataclass(frozen=True, kw_only=True, eq=False)
class Recursion:
    """A program of the grammar with its numbers, over a tree of screws.

    tree, screws          in whose reference frame everything stands; screws (nb, 6)
    inertia, root         one block each; root None without gravity
    velocity              velocity blocks with their `coefficients` (k,)
    scalar_terms          rotors, drags, springs, where bodies alone don't suffice
    parameters            (nb, 10) inertial parameters
    root_vector           (6,) that `root` carries outward: minus gravity in its linear part
    error                 misfit of the fitted answers, relative or in standard deviations
    held_out              largest relative misfit of a degree of tau at three half-widths; all of
                          them in `by_degree`
    length, runner_up     description lengths [nats] of this program and the next best
    programs, blocks      how many programs were compared, of how many blocks by degree
    departure             what is not H(q) a + g(q) + linear and quadratic in v, by degree, relative
    equivalent            whether the model computes this recursion, as far as was asked
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


def search(
    sampler: DynamicsSampler,
    tree: ScrewTree,
    screws: Array,
    *,
    states: int = STATES,
    shell: float = 3.0,
) -> Recursion:
    """The program of the grammar that predicts a model best for its length.

    sampler  of the model, in the coordinates of `tree`
    screws   (nb, 6) unit screws of the tree
    states   at which answers are fitted; three times as many under noise
    shell    half-widths out to which the program is tested

    Robots for which the refits would exceed the budget get fewer finalists and fewer blocks.
    """
    started, before = time.perf_counter(), sampler.blackbox.queries
    data = split_by_degree(sampler, states)
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
    nv = data.H.shape[1]
    most = max(1, int(_VALUES / (samples.n * nv * samples.parameters)))
    blocks, values = distinct(samples, velocity_blocks()[:most])
    values = [Y[:, :, 0] for Y in values]
    candidates = _Candidates(samples, data, inertia, root, root_vector, blocks, values)
    count = _affordable_finalists(samples, nv)
    candidates.run(finalists(data, values, phi, count))
    if sampler.noisy and candidates.best.error > _FAIR * data.floor:
        # Parameters that explain part of v² rank the blocks for the rest better.
        candidates.run(finalists(data, values, candidates.best.phi, count))
    if candidates.best.error > (_FAIR * data.floor if sampler.noisy else EQUIVALENT):
        # Or the blocks depend on parameters that neither H nor static forces determine.
        free = unseen(samples, data, inertia, root, root_vector)
        candidates.run(looser_finalists(data, values, phi, free, count))
    chosen = tuple(blocks[k] for k in candidates.winner)
    bodies, numbers = np.split(candidates.best.phi, [10 * samples.nb])
    rotors = None if rotor is None else ScalarTerm(rotor, numbers)
    k = len(blocks)
    programs = a_count * len(root_blocks()) * (1 + k + math.comb(k, 2) + math.comb(k, 3))
    recursion = Recursion(
        tree=tree,
        screws=samples.screws,
        inertia=inertia,
        root=root,
        velocity=chosen,
        scalar_terms=tuple(term for term in (rotors, drag, spring) if term is not None),
        coefficients=candidates.best.coefficients,
        parameters=bodies.reshape(-1, 10),
        root_vector=candidates.best.root,
        error=candidates.best.error,
        held_out=np.inf,
        by_degree={},
        length=candidates.lengths[candidates.winner],
        runner_up=candidates.runner_up,
        programs=programs,
        blocks={"a": a_count, "v²": k, "root": len(root_blocks())},
        departure=data.departure,
        equivalent=False,
        queries=0,
        seconds=0.0,
    )
    far = split_by_degree(sampler, max(12, len(tree.parents)), shell)
    by_degree = misfits(recursion, far)
    held_out = max(by_degree.values())
    # A residual that repeats itself is no noise: the steps of a table count in full.
    excused = sampler.excused
    clean = max(data.departure.values()) <= max(EQUIVALENT, _CHANCE * data.chance * excused)
    limit = max(EQUIVALENT, _CHANCE * far.chance * excused)
    fits = recursion.error <= (_FAIR if excused else EQUIVALENT)
    return replace(
        recursion,
        by_degree=by_degree,
        held_out=held_out,
        equivalent=clean and held_out <= limit and fits,
        queries=sampler.blackbox.queries - before,
        seconds=time.perf_counter() - started,
    )


def refit_operations(states: int, nv: int, parameters: int) -> float:
    """Operations of one joint refit: two decompositions a step."""
    return 2.0 * _REFIT_STEPS * states * (nv**2 + 2 * nv) * parameters**2


def _affordable_finalists(samples: Samples, nv: int) -> int:
    """How many subsets of each size are refitted within the budget, one at least."""
    one = refit_operations(samples.n, nv, samples.parameters)
    return max(1, int(min(FINALISTS, _REFIT_BUDGET / (3 * one))))


class _Candidates:
    """Subsets of velocity blocks with their description lengths; refitted where it can matter."""

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
        """Refit subsets that could still be the shortest; others count at their lower bound."""
        for final in finals:
            if final in self.fits:
                continue
            least = self._length(self._error_bound(), final)
            if self.fits and least >= self.lengths[self.winner]:
                self.lengths[final] = least
                continue
            self.fits[final] = self._fit(final)
            self.lengths[final] = self._length(self.fits[final].error, final)

    def _error_bound(self) -> float:
        """A lower bound of further misfits: once one is down to noise, what a few more numbers may
        leave of it; zero before."""
        least = min((f.error for f in self.fits.values()), default=np.inf)
        return _NOISE_ABSORBED * least if self._noisy and least < 1.0 else 0.0

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
    """Relative misfit of each degree of tau at the states of another split."""
    samples = Samples(recursion.tree, recursion.screws, data.q, data.v)
    phi = recursion.parameters.ravel()
    H_size, size = data.sizes
    by_form = {"rotor": np.zeros_like(data.H), "drag": np.zeros_like(data.odd)[..., None]}
    by_form["spring"] = by_form["drag"].copy()
    for other in recursion.scalar_terms:
        by_form[other.block.form] = samples.block(other.block) @ other.numbers
    H = samples.block(recursion.inertia) @ phi + by_form["rotor"]
    result = {"a": float(np.sqrt(np.mean(((H - data.H) / H_size) ** 2)))}
    even = np.zeros_like(data.even)
    for c, b in zip(recursion.coefficients, recursion.velocity, strict=True):
        even = even + c * (samples.block(b) @ phi)[..., 0]
    rest = by_form["spring"][..., 0]
    if recursion.root is not None:
        rest = rest + (samples.block(recursion.root) @ phi) @ recursion.root_vector
    odd = by_form["drag"][..., 0]
    parts = (("v²", even, data.even), ("rest", rest, data.rest), ("v", odd, data.odd))
    for name, mine, its in parts:
        result[name] = float(np.sqrt(np.mean(((mine - its) / size) ** 2)))
    return result
