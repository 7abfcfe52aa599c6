"""Newton's method on the convex problems of contact, batched, and its gradient.

Every batch element stops on its own: what has converged leaves the working set. The gradient of the
cost is piecewise smooth, and along a line it is monotonous, so that a bracketed Newton search finds
the step length. Stiff problems (hard contact) are reached through softer ones; without that the
iterates wander between the zones of the cones.

The gradient of a solution is that of one more Newton step, whose Hessian is a constant (implicit
function theorem): nothing of the iteration is recorded.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from kinematics.contact.problem import Problem

ITERATIONS = 80  # of one problem; seen: 1 to 9, at most 30 on stiff ones
SEARCH = 30  # evaluations of a line search
EASING = 10.0  # ratio of successive compliances
EASED = 12  # iterations on the softer problems, whose solutions only start the next
ROUNDS = 12  # fixed-point rounds of Coulomb's lift, where Newton does not end
SHARES = (1.0, 0.5, 0.2, 0.05)  # of a Newton step on the unsymmetric condition
_NEAR = 1e4  # decrements over what ends the iteration, below which a full step is taken unsearched
_SHARE = 1e-2  # of the slope at the start, at which a line search ends
_TOLERANCE = {torch.float64: 1e-13, torch.float32: 2e-6}  # of the norms of the solution


@dataclass(frozen=True, kw_only=True)
class Solution:
    """x (B, nv), the forces of the rows (B, rows), the zone of each cone (B, m), and the Newton
    iterations of each element (B)."""

    x: Tensor
    forces: Tensor
    zones: Tensor
    iterations: Tensor


def solve(problem: Problem, *, eased: float = 1.0) -> Solution:
    """The solution of every problem of the batch, differentiable in all its arrays.

    ``eased``: how many times more compliant the first problem of the sequence is (a power of ten).
    """
    with torch.no_grad():
        fixed = problem.detach()
        x, count = _eased(fixed, eased)
        slack = fixed.slack(x)
        zones = fixed.zones(slack)
    if _differentiated(problem):
        x = _recorded(problem, fixed, x, slack)
        return Solution(x=x, forces=_smooth_forces(problem, x), zones=zones, iterations=count)
    return Solution(x=x, forces=fixed.forces(slack), zones=zones, iterations=count)


def _differentiated(problem: Problem) -> bool:
    held = (problem.mass, problem.free, problem.jacobian, problem.target, problem.cone_weight)
    others = (problem.mu, problem.one_sided_weight, problem.bounded_weight, problem.bound)
    return torch.is_grad_enabled() and any(x.requires_grad for x in (*held, *others))


def _recorded(problem: Problem, fixed: Problem, x: Tensor, slack: Tensor) -> Tensor:
    """x with the gradient of the solution: x - A⁻¹ g, where only g is recorded."""
    _, system = _system(fixed, x, slack, lifted=True)
    misfit = _gradient(problem, x, problem.forces(problem.slack(x)))
    step = torch.linalg.solve(system, misfit[..., None])[..., 0]
    return x - (step - step.detach())  # the value stays that of the iteration


def _smooth_forces(problem: Problem, x: Tensor) -> Tensor:
    return problem.forces(problem.slack(x))


def _eased(problem: Problem, eased: float) -> tuple[Tensor, Tensor]:
    x = problem.free
    count = torch.zeros(len(x), dtype=torch.long, device=x.device)
    if not problem.rows:
        return x, count
    # nothing to do where free motion calls up no force
    idle = ~(problem.forces(problem.slack(x)) != 0).any(-1)
    where = (~idle).nonzero()[:, 0]
    if not len(where):
        return x, count
    own = problem if len(where) == len(x) else problem.at(where)
    through = _coulomb if bool((own.lift > 0).any()) else _convex
    found, taken = through(own, eased)
    return x.index_copy(0, where, found), count.index_copy(0, where, taken)


def _convex(problem: Problem, eased: float) -> tuple[Tensor, Tensor]:
    """The least cost without Coulomb's lift, through softer problems."""
    plain = replace(problem, lift=torch.zeros_like(problem.lift))
    x, factor = plain.free, eased
    count = torch.zeros(len(x), dtype=torch.long, device=x.device)
    while factor > 1.5:
        x, more = _newton(plain.softened(factor), x, EASED, 1e-3)
        count, factor = count + more, factor / EASING
    x, more = _newton(plain, x, ITERATIONS, 1.0)
    return x, count + more


def _newton(problem: Problem, x: Tensor, limit: int, slack: float) -> tuple[Tensor, Tensor]:
    """Minimise from x; ``slack`` below 1 accepts rougher solutions (tolerance / slack)."""
    tolerance = min(_TOLERANCE[x.dtype] / slack, 1e-3)
    count = torch.zeros(len(x), dtype=torch.long, device=x.device)
    answer = x.clone()
    where, own = torch.arange(len(x), device=x.device), problem
    size = _size(own, own.free)
    for _ in range(limit):
        y = own.slack(x)
        gradient, system = _system(own, x, y)
        step = -_solved(system, gradient)
        decrement = -(gradient * step).sum(-1)
        enough = torch.maximum(tolerance**2 * torch.maximum(size, _size(own, x)), _noise(own, y))
        length = _searched(own, x, y, step, decrement > _NEAR * enough)
        x = x + length[:, None] * step
        count[where] += 1
        answer[where] = x
        going = ~(decrement * length.square() <= enough) & (length > 0)
        left = int(going.sum())
        if not left:
            break
        if left < len(x):
            where, x, size, own = where[going], x[going], size[going], own.at(going.nonzero()[:, 0])
    return answer, count


def _noise(problem: Problem, y: Tensor) -> Tensor:
    """What rounding of the slack y leaves of the decrement (B): eps² Σ D (J x)²."""
    rate = (y + problem.target).square() + problem.target.square()
    m = problem.cones
    head = rate[:, : 3 * m].unflatten(1, (m, 3)).sum(-1) if m else rate[:, :0]
    weights = torch.cat((problem.cone_weight, problem.one_sided_weight, problem.bounded_weight), 1)
    total = (weights * torch.cat((head, rate[:, 3 * m :]), 1)).sum(-1)
    return 4 * torch.finfo(y.dtype).eps ** 2 * total


def _size(problem: Problem, x: Tensor) -> Tensor:
    """xᵀ M x (B)."""
    return torch.einsum("bi,bij,bj->b", x, problem.mass, x)


def _gradient(problem: Problem, x: Tensor, forces: Tensor) -> Tensor:
    """M (x - free) - Jᵀ forces (B, nv)."""
    moved = torch.matmul(problem.mass, (x - problem.free)[..., None])[..., 0]
    return moved - torch.matmul(forces[:, None], problem.jacobian)[:, 0]


def _system(
    problem: Problem, x: Tensor, y: Tensor, *, lifted: bool = False
) -> tuple[Tensor, Tensor]:
    """The gradient (B, nv) and its derivative M + Jᵀ ∇²s J (B, nv, nv) at x of slack y; with
    ``lifted`` that of the whole condition, which Coulomb's lift leaves unsymmetric."""
    m, J = problem.cones, problem.jacobian
    blocks, diagonal = problem.weights(y)
    gradient = _gradient(problem, x, problem.forces(y))
    bent = J
    if lifted and m and bool((problem.lift > 0).any()):
        bent = _bent(problem, x)
    head, tail = bent[:, : 3 * m], bent[:, 3 * m :]
    nv = J.shape[-1]
    weighted = torch.matmul(blocks, head.reshape(len(x), m, 3, nv)).reshape(len(x), 3 * m, nv)
    weighted = torch.cat((weighted, diagonal[..., None] * tail), 1)
    return gradient, problem.mass + torch.matmul(J.mT, weighted)


def _bent(problem: Problem, x: Tensor) -> Tensor:
    """The derivative of the slack in x: J, and in normal rows the lift by tangential speed."""
    m, J = problem.cones, problem.jacobian
    head = J[:, : 3 * m].unflatten(1, (m, 3))
    rate = torch.matmul(head, x[:, None, :, None])[..., 1:, 0]
    length = rate.norm(dim=-1, keepdim=True)
    unit = torch.where(length > 0, rate / torch.where(length > 0, length, 1.0), 0.0)
    along = torch.matmul(unit[:, :, None], head[:, :, 1:])
    normal = head[:, :, :1] + problem.lift[..., None, None] * along
    return torch.cat((torch.cat((normal, head[:, :, 1:]), 2).flatten(1, 2), J[:, 3 * m :]), 1)


def _solved(system: Tensor, right: Tensor) -> Tensor:
    """system⁻¹ right, of symmetric positive systems; where rounding spoils those, by LU."""
    factor, info = torch.linalg.cholesky_ex(system)
    if bool((info != 0).any()):
        answer, _ = torch.linalg.solve_ex(system, right[..., None])
        return answer[..., 0]
    return torch.cholesky_solve(right[..., None], factor)[..., 0]


def _searched(problem: Problem, x: Tensor, y: Tensor, step: Tensor, worth: Tensor) -> Tensor:
    """The length (B) at which the cost is least along the step: Newton within a bracket on the
    slope, which never decreases along a line. One where it is not ``worth`` (B) a search."""
    if not bool(worth.any()):
        return worth.new_ones(len(worth), dtype=x.dtype)
    rate = torch.matmul(problem.jacobian, step[..., None])[..., 0]
    pushed = torch.matmul(problem.mass, step[..., None])[..., 0]
    start, bend = (pushed * (x - problem.free)).sum(-1), (pushed * step).sum(-1)
    first = start - (problem.forces(y) * rate).sum(-1)
    length = torch.ones_like(first)
    low, high = torch.zeros_like(first), torch.full_like(first, torch.inf)
    for _ in range(SEARCH):
        z = y + length[:, None] * rate
        slope = start + length * bend - (problem.forces(z) * rate).sum(-1)
        open_ = worth & (slope.abs() > _SHARE * first.abs())
        if not bool(open_.any()):
            break
        low, high = torch.where(slope < 0, length, low), torch.where(slope < 0, high, length)
        curve = bend + _curvature(problem, z, rate)
        tried = length - slope / curve
        middle = torch.where(high.isinf(), 2 * length, (low + high) / 2)
        tried = torch.where((tried > low) & (tried < high), tried, middle)
        length = torch.where(open_, tried, length)
    return torch.where(worth, torch.where(first < 0, length, 0.0), 1.0)


def _curvature(problem: Problem, y: Tensor, rate: Tensor) -> Tensor:
    blocks, diagonal = problem.weights(y)
    m = problem.cones
    head, tail = rate[:, : 3 * m].unflatten(1, (m, 3)) if m else rate[:, :0], rate[:, 3 * m :]
    total = (diagonal * tail.square()).sum(-1)
    if m:
        total = total + torch.einsum("bmi,bmij,bmj->b", head, blocks, head)
    return total


def _coulomb(own: Problem, eased: float) -> tuple[Tensor, Tensor]:
    """Coulomb friction: Newton's method on the whole, unsymmetric condition, through softer ones;
    where that ends nowhere, convex problems with the lift of the last solution."""
    factor, found = eased, own.free
    count = torch.zeros(len(found), dtype=torch.long, device=found.device)
    while factor > 1.5:
        found, _, more = _unsymmetric(own.softened(factor), found, EASED)
        count, factor = count + more, factor / EASING
    found, met, more = _unsymmetric(own, found, 2 * EASED)
    count, answer = count + more, found.clone()
    where = (~met).nonzero()[:, 0]
    if len(where):
        answer[where], more = _convex(own.at(where), eased)
        count[where] += more
    for _ in range(ROUNDS):
        if not len(where):
            break
        here, x = own.at(where), answer[where]
        smooth = replace(here, lift=torch.zeros_like(here.lift))
        rate = torch.matmul(here.jacobian, x[..., None])[..., 0]
        lift = here.lifted(torch.zeros_like(rate), rate)
        x, more = _newton(replace(smooth, target=here.target - lift), x, ITERATIONS, 1e-2)
        found, met, _ = _unsymmetric(here, x, EASED)
        count[where] += more
        answer[where] = torch.where(met[:, None], found, x)
        where = where[~met]
    return answer, count


def _unsymmetric(own: Problem, x: Tensor, limit: int) -> tuple[Tensor, Tensor, Tensor]:
    """Newton's method on the whole condition, each step as long as the misfit allows; whether it
    ended in a short step, whose square is what it still errs by; and the iterations."""
    scale = _size(own, own.free)
    met = torch.zeros(len(x), dtype=torch.bool, device=x.device)
    count = torch.zeros(len(x), dtype=torch.long, device=x.device)
    misfit = _misfit(own, x)
    for _ in range(limit):
        gradient, system = _system(own, x, own.slack(x), lifted=True)
        step = torch.linalg.solve_ex(system, gradient[..., None])[0][..., 0]
        best, least = x, misfit
        for share in SHARES:
            tried = x - share * step
            after = _misfit(own, tried)
            better = after < least
            best = torch.where(better[:, None], tried, best)
            least = torch.where(better, after, least)
            if bool((met | (least < misfit)).all()):
                break
        count += ~met
        short = _size(own, step) <= 1e-3 * _TOLERANCE[x.dtype] * (scale + _size(own, x))
        met = met | short
        x, misfit = best, least
        if bool(met.all()):
            break
    return x, met, count


def _misfit(own: Problem, x: Tensor) -> Tensor:
    """|gradient|² in the metric of the inverse mass (B)."""
    gradient = _gradient(own, x, own.forces(own.slack(x)))
    return (gradient * _solved(own.mass, gradient)).sum(-1)
