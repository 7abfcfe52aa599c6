"""A model that remembers its last question: what memory adds, from answers in sequence.

What was found before was found with every question following itself. Here questions follow others;
the bodies alone no longer describe the answers, and a law with memory is held against fresh ones.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

import kinematics
from discover.blackbox.contract import Answers, relative_error
from discover.blackbox.session import QuerySession
from discover.examination.description import Finding
from discover.judgement.catalogue import evidence_from
from discover.laws import RigidBodyLaw
from discover.laws.extensions.memory import MemoryLaw, Query
from discover.laws.extensions.terms import coordinates, forces
from discover.laws.search.memory_search import search_memory
from discover.probes.history import Preceding

_PAIRS = 160
_FRESH = 60
_FAR = (2.0, 3.0)  # half-widths
_SAME = 1e-9  # an error that is rounding
_AS_GOOD = 1.3  # times the error on questions that follow themselves
# Evidence on the bodies and joint terms, on the law with more, and on the best of all.
_BODIES = ("refit error far out", "self-extrapolation error")
_WITH_MORE = ("extended law error far out", "best law error far out")


def with_memory(finding: Finding, session: QuerySession, seen: Preceding) -> Finding:
    """The finding on a model that remembers: law with memory, and evidence in sequence."""
    place = "row of the batch" if seen.kind == "row" else "call"
    size = max(seen.by_row, seen.by_call)
    said = f"Its answers depend on the question before (the {place}): {size:.2g} of the spread of a"
    law = finding.law
    stepping = session.blackbox.outputs != "acceleration"
    if not isinstance(law, RigidBodyLaw) or stepping or law.integrator is not None:
        note = f"{said}; no law of that was sought: all else holds for questions that are repeated."
        return _judged(replace(finding, notes=[*finding.notes, note]), size, size, size, size)
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
        f"{plain_far:.2g}. All other numbers are for questions that follow themselves."
    )
    found = better_far < plain_far
    finding = replace(finding, law=whole if found else law, notes=[*finding.notes, sentence])
    best, best_far = (better, better_far) if found else (plain, plain_far)
    return _judged(finding, plain, plain_far, best, best_far)


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


def _judged(finding: Finding, inside: float, far: float, best: float, best_far: float) -> Finding:
    """The evidence as it is for questions in sequence: no law is better than it is there."""
    values = {e.name: e.value for e in finding.evidence}
    errors = dict.fromkeys(_BODIES, far) | dict.fromkeys(_WITH_MORE, best_far)
    errors |= {"law error in the region": inside, "best law error in the region": best}
    errors |= {"gain of extra terms": far / max(best_far, 1e-12)}
    changed = {n: max(values[n], error) for n, error in errors.items() if n in values}
    new = {e.name: e for e in evidence_from(changed, {})}
    return replace(finding, evidence=[new.get(e.name, e) for e in finding.evidence])
