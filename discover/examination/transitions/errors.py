"""Errors of model, law and simulator on held-out transitions, as they are stored and told."""

from __future__ import annotations

from dataclasses import dataclass, field

from discover.blackbox.regimes import RegimeSummary
from discover.records import Stored


@dataclass(frozen=True, kw_only=True)
class JointError(Stored):
    """Errors on one joint's held-out transitions, each the root mean square of a difference over
    that of what was recorded; of next states, over that of the recorded change.

    joint      its name
    quantity   "acceleration", "velocity change" or "displacement"
    law, simulator   None where there is no law, or no description to simulate
    """

    joint: str
    quantity: str
    model: float
    law: float | None
    simulator: float | None


@dataclass(frozen=True, kw_only=True)
class HeldOut(Stored):
    """Held-out transitions beside what model, law and simulator predict of them.

    transitions  how many; `asked`, those that the errors are taken on
    filled       the share of the box (q, v, commands in half-widths) whose points have a recorded
                 state no further than the 95th percentile of the distances between each recorded
                 state and the nearest other: near 1 where states are spread evenly over the box,
                 near 0 for a few trajectories, however long; None of too few to say
    resets       share of the transitions that no motion makes: left out
    limits       share that lie in another regime, of the model or of `regimes`: left out
    regimes      limits and contacts that the transitions themselves show
    errors       by joint
    simulator    what was simulated, in words; empty where nothing was
    """

    transitions: int
    asked: int
    filled: float | None
    resets: float
    limits: float
    errors: list[JointError]
    regimes: list[RegimeSummary] = field(default_factory=list)
    simulator: str = ""

    @property
    def sentences(self) -> list[str]:
        """In words."""
        many = f"{self.transitions:,} held-out transitions"
        said = [
            f"{many} are too few to say how much of the box they fill."
            if self.filled is None
            else f"{many} fill {_percent(self.filled)} of the box: what is said of the rest of it "
            "rests on questions alone."
        ]
        if self.resets:
            said.append(
                f"{_percent(self.resets)} of the transitions are resets (the next state is no "
                "motion from the one before); they are left out."
            )
        if self.limits:
            said.append(
                f"{_percent(self.limits)} of the transitions lie at limits or contacts; they are "
                "left out of the errors."
            )
        said += [f"In the data: {x}" for x in self.regimes]
        worst = max(self.errors, key=lambda e: e.model, default=None)
        if worst is not None:
            others = [("law", worst.law), ("simulator", worst.simulator)]
            compared = ", ".join(f"the {n}'s {x:.2g}" for n, x in others if x is not None)
            said.append(
                f"On them the model errs most at {worst.joint} ({worst.quantity}): by "
                f"{worst.model:.2g} of its size" + (f"; {compared}." if compared else ".")
            )
        return said


def _percent(share: float) -> str:
    return f"{share:.2g}" if 0 < share < 0.001 else f"{share:.1%}"
