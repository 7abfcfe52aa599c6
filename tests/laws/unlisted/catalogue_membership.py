"""Is a planted law in the lists of the search: a force direction × a shape of one feature?

The force that bodies do not explain is computed from the planted simulator without noise. A law is
in the lists if, for some force direction and some feature, the force is the direction times a
function of the feature, and that function is a single shape of the catalogue plus a constant and a
linear part. A law that needs two shapes, a function of two features, or two directions is outside.
"""

from functools import lru_cache
from itertools import product

import numpy as np
import torch
from scipy.optimize import least_squares

import kinematics
from discover import Region
from discover.blackbox import sampling
from discover.laws.extensions.terms import forces
from discover.laws.search.basis_functions import basis_functions
from discover.laws.search.force_directions import joint_candidates, point_candidates
from discover.laws.search.variables import Mechanics, Point
from tests.bench.laws.planting import plant

STATES = 1500
DIRECTION = 1e-7  # relative error at which a force has a direction
ROUGH = 0.05  # mean squared step between neighbours, over the variance (2 for no function at all)
SAME = 1e-5  # relative error at which a function is a shape
_MATCH = 0.9  # cosine with the function, on the grid, from which constants are refined
_GRID = 161


def in_lists(law, robot, region: Region, points: tuple[Point, ...] = ()) -> bool:
    """Whether the law is a force direction × a shape of the catalogue in one feature.

    points  points of bodies whose forces and features are tried, too
    """
    directions, features, y = _evaluated(law, robot, region, points)
    for C, alike in directions:
        if alike:
            nonzero = C.abs() > 1e-9
            if bool((y[~nonzero].abs() > DIRECTION * y.abs().max()).any()):
                continue
            quotient = torch.where(nonzero, y / torch.where(nonzero, C, 1.0), torch.nan)
            for z in (z for z in features if z.shape[1] == y.shape[1] > 1):
                if _is_shape(z[nonzero].numpy(), quotient[nonzero].numpy()):
                    return True
        square = C.square().sum(-1)
        usable = square > 1e-12 * square.max()
        if not bool(usable.any()):
            continue
        phi = (C * y).sum(-1) / torch.where(usable, square, 1.0)
        left = (y - C * phi[:, None]).square().sum()
        if float(left) > DIRECTION**2 * float(y.square().sum()):
            continue
        for z in (z[:, 0] for z in features if z.shape[1] == 1):
            if _is_shape(z[usable].numpy(), phi[usable].numpy()):
                return True
    return False


def _evaluated(law, robot, region: Region, points: tuple[Point, ...]):
    """Directions ((n, nv), whether alike), features (n, slots), the unexplained force (n, nv)."""
    box = region.resolve(robot.nv)
    q, v, tau = sampling.sample(box, robot, STATES, 12)
    a = plant(robot, law, region)(q, v, tau)
    H = kinematics.crba(robot, q)
    y = tau - (H @ a.unsqueeze(-1)).squeeze(-1) - kinematics.bias(robot, q, v)
    candidates = [joint_candidates(robot)]
    candidates += [point_candidates(robot.nv, point, "a point") for point in points]

    lines = [d for c in candidates for d in c.directions]
    scalars = [f for c in candidates for f in c.features]
    terms = [*(d.term() for d in lines), *(f.term(robot.nv) for f in scalars)]
    mechanics = Mechanics.of(robot, q, v, set().union(*(t.names for t in terms)))
    columns = torch.nan_to_num(forces(terms, q, v, a, tau, robot, mechanics))
    directions = [(columns[..., k], d.alike) for k, d in enumerate(lines)]
    features = [columns[:, : f.slots, len(lines) + k] for k, f in enumerate(scalars)]
    return directions, features, y


def _is_shape(z: np.ndarray, phi: np.ndarray) -> bool:
    """Whether phi is, at z, one shape of the catalogue plus a constant and a linear part."""
    if len(z) < 100 or np.ptp(z) < 1e-9:
        return False
    order = np.argsort(z)
    z, phi = z[order], phi[order]
    if np.mean(np.diff(phi) ** 2) > ROUGH * np.var(phi) + 1e-18:
        return False
    u = z / np.abs(z).max()
    one_sided = u[0] > -0.02
    shapes, constants, columns = _dictionary(one_sided)
    grid = np.linspace(0.0 if one_sided else -1.0, 1.0, _GRID)
    inside = (grid >= u[0]) & (grid <= u[-1])
    plain = np.stack([np.ones(inside.sum()), grid[inside]], 1)
    Q = np.linalg.qr(plain)[0]
    target = np.interp(grid[inside], u, phi)
    target = target - Q @ (Q.T @ target)
    if np.linalg.norm(target) < 1e-6 * np.linalg.norm(phi):
        return True
    tried = columns[inside] - Q @ (Q.T @ columns[inside])
    size = np.linalg.norm(tried, axis=0)
    match = np.abs(target @ tried) / np.where(size > 1e-9, size, np.inf)
    best: dict[int, int] = {}
    close = np.flatnonzero(match > _MATCH * np.linalg.norm(target))
    for k in close[np.argsort(-match[close])]:
        best.setdefault(int(shapes[k]), int(k))
    rows = np.linspace(0, len(u) - 1, 200).astype(int)
    x, f = u[rows], phi[rows]
    listed = _catalogue()
    return any(_misfit(listed[s], constants[k], x, f) < SAME for s, k in best.items())


def _misfit(shape, start: tuple[float, ...], u: np.ndarray, phi: np.ndarray) -> float:
    """Relative error of the best constants, from `start`."""

    def left(c):
        A = np.stack([np.ones_like(u), u, shape.values(u, tuple(c))], 1)
        if not np.isfinite(A).all():
            return np.full(len(u), 1e3 * np.abs(phi).max())
        return A @ np.linalg.lstsq(A, phi, rcond=1e-12)[0] - phi

    if start:
        found = least_squares(
            left,
            start,
            x_scale=np.maximum(np.abs(start), 0.1),
            xtol=1e-14,
            ftol=1e-14,
            gtol=1e-14,
            max_nfev=60,
        )
        rest = found.fun
    else:
        rest = left(())
    return float(np.linalg.norm(rest) / np.linalg.norm(phi - phi.mean()))


@lru_cache(maxsize=1)
def _catalogue():
    return basis_functions()


@lru_cache(maxsize=2)
def _dictionary(one_sided: bool):
    """Every shape at a grid of its constants: (shape of each column, its constants, columns)."""
    grid = np.linspace(0.0 if one_sided else -1.0, 1.0, _GRID)
    shapes, constants, columns = [], [], []
    for s, shape in enumerate(_catalogue()):
        listed = list(product(*(g if len(shape.grids) < 3 else g[::2] for g in shape.grids)))
        for c in listed:
            values = np.nan_to_num(shape.values(grid, c), posinf=0.0, neginf=0.0)
            shapes.append(s)
            constants.append(c)
            columns.append(values)
    return np.array(shapes), constants, np.stack(columns, 1)
