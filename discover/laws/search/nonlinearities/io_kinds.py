"""The kinds of input/output nonlinearities that are searched for, from plain to less plain."""

from __future__ import annotations

import itertools

from discover.laws.extensions.io_nonlinearity import PLACES
from discover.laws.search.nonlinearities.io_fit import NonlinearityKind

KINDS = (
    NonlinearityKind("a", "a"),
    NonlinearityKind("a", "v"),
    NonlinearityKind("a", "q"),
    NonlinearityKind("tau", "tau"),
    NonlinearityKind("tau", "v"),
    NonlinearityKind("tau", "q"),
    NonlinearityKind("v", "v"),
    NonlinearityKind("q", "q"),
    NonlinearityKind("a", "|v|"),
    NonlinearityKind("a", "|q|"),
    NonlinearityKind("a", "|a|"),
    NonlinearityKind("tau", "|v|"),
    NonlinearityKind("tau", "|tau|"),
)
_OF_JOINT = ("q", "v", "tau")  # what a function of joint j may be one of, beside its own answer


def _quantities(place: str) -> tuple[str, ...]:
    return (*_OF_JOINT, "a") if place == "a" else _OF_JOINT


def _of_one(place: str) -> list[NonlinearityKind]:
    """Something added that is a function of another quantity of the same joint; or a factor that is
    a function of a product of two."""
    # A force that is a function of q or v is a term beside the bodies, and is searched for as one.
    others = [] if place == "tau" else [x for x in _quantities(place) if x != place]
    products = ["*".join(pair) for pair in itertools.combinations(_quantities(place), 2)]
    return [
        *(NonlinearityKind(place, x, added=True) for x in others),
        *(NonlinearityKind(place, x) for x in products),
    ]


def _of_two(place: str) -> list[NonlinearityKind]:
    """Something added that is a function of any two quantities of the joint."""
    pairs = itertools.combinations(_quantities(place), 2)
    of_pairs = [NonlinearityKind(place, x, y, added=True) for x, y in pairs]
    return of_pairs + (_of_bodies() if place == "tau" else [])


def _of_bodies() -> list[NonlinearityKind]:
    """A force that is a function of what the fitted bodies show at the joint, alone or with another
    quantity of it: friction that grows with the gravity torque that a bearing carries."""
    # Gravity is a function of positions itself. Loads are tried in the place of tau: `fed_back`.
    features: list[tuple[str, str | None]] = [("g", None), ("v", "g"), ("tau", "g")]
    return [NonlinearityKind("tau", x, y, added=True) for x, y in features]


def _on_a_scale(place: str) -> list[NonlinearityKind]:
    """A function of the input or output whose scale another quantity of the joint sets."""
    return [NonlinearityKind(place, place, x) for x in _quantities(place) if x != place]


def _between_limits(place: str) -> list[NonlinearityKind]:
    """The input or output itself between limits that another quantity of the joint sets."""
    others = [x for x in ("v", "q", "tau") if x != place]
    limited = others if place in ("tau", "a") else []
    return [NonlinearityKind(place, place, x, limited=True) for x in limited]


LIMITS = tuple(kind for place in PLACES for kind in _between_limits(place))
# Any function of one joint's quantities, plain ones first: the later ones follow the earlier, too.
JOINT_FUNCTIONS = tuple(
    tuple(kind for place in PLACES for kind in kinds(place))
    for kinds in (_of_one, _of_two, _on_a_scale)
)
# Beside forces: functions of one variable, then of two; those of what bodies show are forces, too.
AROUND_AND_BESIDE = (
    (*KINDS, *JOINT_FUNCTIONS[0]),
    tuple(kind for kind in JOINT_FUNCTIONS[1] if not kind.of_bodies),
)
