"""Hypotheses: families of laws that go beyond rigid bodies with joint and listed terms.

To add one: a subclass of `Hypothesis` here or in a file beside, and its place in `HYPOTHESES`. Its
fit is a `Fit`: it predicts (`Fit.predict`) and is described (`RigidBodyLaw.from_fit`) like any
other, and it is judged on the same held-out and far answers.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import replace

import torch

from discover.blackbox.sampling import Batch
from discover.blackbox.session import QuerySession
from discover.examination.fits import FIT_RANGE, MAX_TERMS, Laws
from discover.judgement.thresholds import whole
from discover.laws.extensions import io_nonlinearity, surrogate_trigonometry
from discover.laws.rigid_body.fit import Fit
from discover.laws.search.bodies.body_search import search_body_forces
from discover.laws.search.nonlinearities import (
    drive_functions,
    io_kinds,
    io_search,
    several,
    trigonometry_search,
)
from discover.laws.search.residual_search import best_listed_or_searched
from discover.laws.search.selection import refit
from discover.progress import stage

_BEGUN = whole("search.joint_functions_begun")
_DISPUTED = whole("examination.disputed_states")


class Hypothesis(ABC):
    """One family of laws that may explain what listed terms leave."""

    @abstractmethod
    def extend(self, session: QuerySession, laws: Laws, level: float) -> Laws:
        """The laws with the family's best member as the extended one, where it shortens the
        description; else the laws unchanged. `level` is the noise, standardised."""


class UnlistedTerms(Hypothesis):
    """Joint forces, each a force direction × basis function of a physical variable."""

    def extend(self, session: QuerySession, laws: Laws, level: float) -> Laws:
        """The better of the listed and the unlisted terms."""
        disputed = _disputed_states(session)
        search = best_listed_or_searched(
            laws.physics,
            laws.extended,
            laws.wide,
            laws.sets.tested,
            floor=level,
            limit=MAX_TERMS,
            pool=session.forced(disputed),
            ask=lambda rows: session.ask(*(x[rows] for x in disputed)),
        )
        return replace(
            laws,
            extended=search.best.fit,
            tried=(*laws.tried, *(c.fit for c in search.front)),
            near_ties=search.near,
            searched=True,
            cut_short=search.short,
        )


class DriveFunctions(Hypothesis):
    """Terms that are functions of the joint forces alone, as a drive between command and joint."""

    def extend(self, session: QuerySession, laws: Laws, level: float) -> Laws:
        """The extended law with its drive terms written as an input function."""
        found = drive_functions.as_input_nonlinearity(
            laws.extended, laws.wide, laws.sets.tested, level
        )
        return laws if found is None else laws.with_extended(found.fit)


class AroundBodies(Hypothesis):
    """Rigid bodies with functions around them, which no force beside the bodies can say."""

    @abstractmethod
    def search(self, laws: Laws, level: float) -> Fit | None:
        """The law that shortens the description of the answers out to FIT_RANGE, if any."""

    def extend(self, session: QuerySession, laws: Laws, level: float) -> Laws:
        """A law whose function is constant beyond the region's edge is not taken: what was seen
        inside alone says nothing of the outside."""
        law = self.search(laws, level)
        if law is None:
            return laws
        family, inside = law.family, laws.inside
        if io_nonlinearity.ends_at_edge(family.nonlinearities, inside):
            return laws
        functions = family.trigonometry
        if functions is not None and surrogate_trigonometry.ends_at_edge(functions, inside.q):
            return laws
        return laws.with_extended(refit(law, laws.wide, family.terms))


class StaticNonlinearities(AroundBodies):
    """Rigid bodies behind static input or output functions (Hammerstein–Wiener)."""

    def search(self, laws: Laws, level: float) -> Fit | None:
        """Functions of one variable a joint, or of the size of all of them."""
        tested = laws.sets.tested
        result = io_search.search_io_nonlinearity(
            laws.physics, laws.extended, laws.wide, tested, floor=level
        )
        return None if result is None else result.fit


class JointLimits(AroundBodies):
    """Rigid bodies whose joint forces or answers stay between limits that another quantity of the
    joint sets: a torque whose limit falls with speed."""

    def search(self, laws: Laws, level: float) -> Fit | None:
        """Limits of any joints, by speed, position or joint force."""
        tested = laws.sets.tested
        result = io_search.search_io_nonlinearity(
            laws.physics,
            laws.extended,
            laws.wide,
            tested,
            floor=level,
            kinds=io_kinds.LIMITS,
            begun=_BEGUN,
            strict=True,
        )
        return None if result is None else result.fit


class JointFunctions(AroundBodies):
    """Rigid bodies whose inputs or output are altered by a function of any one or two quantities of
    the same joint: it yields under its force, its friction grows with the load."""

    def search(self, laws: Laws, level: float) -> Fit | None:
        """Functions of one variable; as long as they leave something over, of two."""
        tested, best = laws.sets.tested, laws.extended
        for kinds in io_kinds.JOINT_FUNCTIONS:
            result = io_search.search_io_nonlinearity(
                laws.physics,
                best,
                laws.wide,
                tested,
                floor=level,
                kinds=kinds,
                begun=_BEGUN,
                strict=True,
            )
            best = best if result is None else result.fit
        return None if best is laws.extended else best


class SeveralAlterations(AroundBodies):
    """A function around the bodies and unlisted forces beside them, neither of which is seen while
    the other is missing: elastic joints with drag, a factor on the answer with friction."""

    def search(self, laws: Laws, level: float) -> Fit | None:
        """Functions beside generous forces, then the forces anew, and all numbers together."""
        tested = laws.sets.tested
        result = several.search_several(
            laws.physics,
            laws.extended,
            laws.wide,
            tested,
            floor=level,
            kinds=io_kinds.AROUND_AND_BESIDE,
        )
        return None if result is None else result.fit


class SurrogateTrigonometry(AroundBodies):
    """Rigid bodies turned by other functions than sine and cosine."""

    def search(self, laws: Laws, level: float) -> Fit | None:
        """Polynomials, formulas or tables in place of both."""
        tested = laws.sets.tested
        result = trigonometry_search.search_trigonometry(
            laws.physics, laws.extended, laws.wide, tested, floor=level
        )
        return None if result is None else result.fit


class BodyForces(Hypothesis):
    """Forces of bodies that no list names: along the distance of two points, at a point or a torque
    as a function of what bodies show, masses that a joint moves."""

    def extend(self, session: QuerySession, laws: Laws, level: float) -> Laws:
        """The shorter of the law so far and of one with forces of the grammar of bodies."""
        tested = laws.sets.tested
        law = search_body_forces(
            laws.physics, laws.extended, laws.wide, tested, floor=level, limit=MAX_TERMS
        )
        return laws if law is None else laws.with_extended(law)


AROUND_BODIES: tuple[Hypothesis, ...] = (
    DriveFunctions(),
    StaticNonlinearities(),
    SurrogateTrigonometry(),
    JointLimits(),
)
HYPOTHESES: tuple[Hypothesis, ...] = (
    UnlistedTerms(),
    *AROUND_BODIES,
    JointFunctions(),
    BodyForces(),
    SeveralAlterations(),
)


def extended(
    hypotheses: Iterable[Hypothesis], session: QuerySession, laws: Laws, level: float
) -> Laws:
    """The laws after each hypothesis in turn has tried to extend them."""
    for hypothesis in hypotheses:
        words = re.sub("(?<=[a-z])(?=[A-Z])", " ", type(hypothesis).__name__).lower()
        stage(f"the hypothesis of {words}")
        laws = hypothesis.extend(session, laws, level)
    return laws


def _disputed_states(session: QuerySession) -> Batch:
    """States in the region and out to FIT_RANGE, from which the queries are taken on which laws of
    about the same length differ most."""
    inside = session.draw("disputed", _DISPUTED)
    outside = session.support.shell("joint", 1.0, FIT_RANGE, _DISPUTED, session.seed + 83)
    return Batch(*(torch.cat(pair) for pair in zip(inside, outside, strict=True)))
