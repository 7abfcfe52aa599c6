"""History dependence: the law of a model whose answer depends on the query before.

All other numbers describe the settled model, every query repeated. Here queries follow others: the
law is extended by a term of the query before and tested on fresh pairs, in the region and far out.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

import kinematics
from discover.blackbox.contract import Answers, relative_error
from discover.blackbox.session import QuerySession
from discover.examination.outcome import Description
from discover.judgement.evidence import Name
from discover.judgement.thresholds import threshold
from discover.judgement.verdict import evidence_of
from discover.laws import RigidBodyLaw
from discover.laws.extensions.memory import MemoryLaw, Query
from discover.laws.extensions.terms import coordinates, forces
from discover.laws.search.memory_search import search_memory
from discover.probes.history import History

_PAIRS = 160
_FRESH = 60
_FAR = (2.0, 3.0)  # half-widths
_SAME = 1e-9  # an error that is rounding
_AS_GOOD = threshold("examination.memory_explains")
# Evidence on the bodies and joint terms, and on the law with more and the best of all.
_BODIES = (Name.REFIT_ERROR_FAR, Name.SELF_EXTRAPOLATION)
_WITH_MORE = (Name.EXTENDED_ERROR_FAR, Name.BEST_ERROR_FAR)


def with_history(description: Description, session: QuerySession, history: History) -> Description:
    """The description of a model with history: law with memory, and evidence in sequence."""
    place = "row of the batch" if history.kind == "row" else "call"
    size = max(history.by_row, history.by_call)
    said = f"Its answers depend on the query before (the {place}): {size:.2g} of the spread of a"
    law = description.law
    stepping = session.blackbox.outputs != "acceleration"
    if not isinstance(law, RigidBodyLaw) or stepping or law.integrator is not None:
        note = f"{said}; no law of that was sought: all numbers are for repeated queries."
        return _judged(
            replace(description, notes=[*description.notes, note]), size, size, size, size
        )
    before, now = _pairs(session, "memory", _PAIRS, None)
    was, then = _question(law, before), _question(law, now)
    then = replace(then, a=law(now.q, now.v, now.tau))
    still = session.inside("memory, still", _FRESH)
    floor = relative_error(law(still.q, still.v, still.tau), still.a)
    inside = _pairs(session, "memory, fresh", _FRESH, None)
    far = _pairs(session, "memory, far", _FRESH, _FAR)
    whole, least = law, _error(law, *inside)
    ways = [(False, now.a - then.a, still.a - law(still.q, still.v, still.tau))]
    if not law.non_additive:  # what bodies feel is what was asked: forces can be read off
        ways.insert(0, (True, now.tau - demanded(law, now), still.tau - demanded(law, still)))
    for is_force, wanted, left in ways:
        rows = search_memory(was, then, wanted, left.square().mean(0).sqrt(), session.seed)
        trial = replace(law, extensions=(*law.extensions, MemoryLaw(rows=rows, is_force=is_force)))
        error = _error(trial, *inside)
        if error < least:
            whole, least = trial, error
        if error <= _AS_GOOD * floor + _SAME:
            break
    plain, plain_far = _error(law, *inside), _error(law, *far)
    better, better_far = _error(whole, *inside), _error(whole, *far)
    sentence = (
        f"{said}; a law of that memory leaves {better:.2g} of a in the region and "
        f"{better_far:.2g} at 2–3 half-widths, where the law without leaves {plain:.2g} and "
        f"{plain_far:.2g}. All other numbers are for repeated queries."
    )
    found = better_far < plain_far
    description = replace(
        description, law=whole if found else law, notes=[*description.notes, sentence]
    )
    best, best_far = (better, better_far) if found else (plain, plain_far)
    return _judged(description, plain, plain_far, best, best_far)


def _error(law: RigidBodyLaw, before: Answers, now: Answers) -> float:
    """Relative error of the law on answers in sequence."""
    given = (before.q, before.v, before.tau, before.a)
    return relative_error(law.after(given, now.q, now.v, now.tau), now.a)


def demanded(law: RigidBodyLaw, x: Answers) -> Tensor:
    """The joint forces (n, nv) that the law without memory needs for the accelerations of x."""
    needed = kinematics.rnea(law.robot, x.q, x.v, x.a)
    if law.extra:
        columns = forces(law.extra, x.q, x.v, x.a, x.tau, law.robot)
        needed = needed + columns @ needed.new_tensor([t.coefficient for t in law.extra])
    return needed


def _pairs(
    session: QuerySession, name: str, n: int, shell: tuple[float, float] | None
) -> tuple[Answers, Answers]:
    """(answers before, answers after) to n pairs of states."""
    if shell is None:
        batch = session.draw(name, 2 * n)
    else:
        seed = session.seed + sum(map(ord, name))
        batch = session.support.shell("joint", *shell, 2 * n, seed)
    return session.blackbox.after(
        [x[:n] for x in batch], [x[n:] for x in batch], strict=shell is None
    )


def _question(law: RigidBodyLaw, x: Answers) -> Query:
    return Query(q=x.q[:, coordinates(law.robot)], v=x.v, tau=x.tau, a=x.a)


def _judged(
    description: Description, inside: float, far: float, best: float, best_far: float
) -> Description:
    """The evidence as it is for questions in sequence: no law is better than it is there."""
    values = {e.name: e.value for e in description.evidence}
    errors = dict.fromkeys(_BODIES, far) | dict.fromkeys(_WITH_MORE, best_far)
    errors |= {Name.LAW_ERROR_INSIDE: inside, Name.BEST_ERROR_INSIDE: best}
    errors |= {Name.GAIN: far / max(best_far, 1e-12)}
    changed = {n: max(values[n], error) for n, error in errors.items() if n in values}
    new = {e.name: e for e in evidence_of(changed)}
    return replace(description, evidence=[new.get(e.name, e) for e in description.evidence])
