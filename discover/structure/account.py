"""What the structure of a model goes into: the law's program, evidence, and plain sentences."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from discover.dynamics import Respondent
from discover.evidence import Evidence
from discover.region import Region
from discover.structure.described import screw_tree
from discover.structure.factorisation import sparsity
from discover.structure.passes import text
from discover.structure.probing import Prober
from discover.structure.recursion import Recursion, search
from kinematics import Robot

MOST_JOINTS = 8  # up to which the search takes less than a minute


@dataclass(frozen=True, kw_only=True, eq=False)
class Account:
    """The found recursion with its text, evidence (it decides no verdict) and notes."""

    recursion: Recursion
    program: str
    evidence: list[Evidence]
    notes: list[str]


def account(respondent: Respondent, robot: Robot, region: Region, seed: int) -> Account:
    """Search the recursion over `robot`'s tree and hold its zeros against the model."""
    prober = Prober(respondent=respondent, region=region, seed=seed)
    tree, screws = screw_tree(robot, np.zeros(robot.nv))
    found = search(prober, tree, screws)
    zeros = sparsity(
        prober.at(prober.draw(12), replicates=16 if prober.noisy else 1), robot.parents
    )
    program = text(found)
    far = ", ".join(f"{name} {value:.1e}" for name, value in found.by_degree.items())
    head = (
        f"found among {found.programs:.1e} programs "
        f"({found.blocks['a']} blocks of a, {found.blocks['root']} of the root, "
        f"{found.blocks['v²']} of v², up to three); misfit in the shell to 3 half-widths: {far}"
    )
    holds = "is equivalent to" if found.equivalent else "comes closest to, but does not equal,"
    notes = [f"Within what was asked, the model {holds} a recursion {head}."]
    if zeros.zeros:
        notes.append(
            f"The tree predicts {zeros.zeros} zeros in H: the largest entry there is "
            f"{zeros.violation:.1e} of the diagonal (noise alone: {zeros.chance:.1e})."
        )
    values = {
        "recursion: misfit far out": (found.held_out, "largest misfit of a degree of tau at 3×"),
        "recursion: departure in degree": (
            max(found.departure.values()),
            "what is not H(q) a + g(q) + linear and quadratic in v",
        ),
        "factors: predicted zeros": (zeros.violation, "largest entry of H where the tree has none"),
    }
    evidence = [
        Evidence(name=name, value=value, interval=(value, value), null=0.0, meaning=meaning)
        for name, (value, meaning) in values.items()
    ]
    return Account(recursion=found, program=f"{program}\n\n{head}", evidence=evidence, notes=notes)
