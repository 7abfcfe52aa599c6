"""Recorded studies: the law of the training logs, and every world model held against it.

The law is identified from just the logs that the networks are trained on, as the recipe reads them
(its delay and offsets taken out, no further ones), and both meet the same held-out rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from discover.blackbox.contract import Dynamics
from discover.data.logs import read_log
from discover.errors import DatasetError
from discover.evaluation.held_against import HeldAgainst, Rows, hold_against
from discover.identification.identify import identify
from discover.identification.result import Identification
from discover.judgement.thresholds import threshold

if TYPE_CHECKING:
    from discover.data.dataset import Dataset
    from discover.study.recipes import Recipe
    from kinematics import Robot

_KEPT = threshold("identification.kept_out")
LAW_OF_LOGS = "law_of_the_logs"  # the folder of the identification in the study's


def law_of_logs(recipe: Recipe, robot: Robot, progress: Any = None) -> Identification | None:
    """Identify from the recipe's training logs; its test logs are held out. None where bodies with
    such joints, or so few samples, have no identification."""
    recording = recipe.recording
    if recording is None or robot.nq != robot.nv:
        return None
    train, test = (
        [read_log(name, recording, robot) for name in names]
        for names in (recording.train, recording.test)
    )
    try:
        return identify(
            train,
            robot,
            test=test or None,
            delay=0.0,
            seed=recipe.study.seed,
            progress=progress,
        )
    except DatasetError:  # the logs were read before: there are too few samples
        return None


def held_against_law(
    recipe: Recipe,
    found: Identification,
    networks: Mapping[str, Dynamics],
    laws: Mapping[str, Any],
    robot: Robot,
    dataset: Dataset,
) -> HeldAgainst | None:
    """Networks (accelerations by name) and the laws taken from them, beside the law of the logs;
    None where no rows were held out."""
    rows = Rows.of(dataset)
    if rows is None:
        return None
    notes = []
    late = dataset.metadata.get("alignment") or {}
    if late.get("clear"):
        notes.append(
            f"joint forces are recorded {1e3 * late['delay']:.3g} ms late; recording.delay takes "
            "that out for all alike, here it was left in"
        )
    recording = recipe.recording
    if not rows.unseen and recording is not None and recording.validation > _KEPT:
        notes.append(
            f"of the last {recording.validation:.0%} of the training logs, on which all are "
            f"compared, the law was fitted to all but the last {_KEPT:.0%}"
        )
    return hold_against(rows, robot, found.law, found.least_squares, networks, laws, tuple(notes))
