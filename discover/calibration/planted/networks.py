"""Trained networks: nobody knows what they have learned. They are reported and never scored."""

from __future__ import annotations

from collections.abc import Callable

from sklearn.neural_network import MLPRegressor

from discover.calibration.planted.alternatives import with_strong_force
from discover.calibration.planted.contract import Planted, Setting
from discover.calibration.planted.physics import simulator
from discover.calibration.planted.tables import Interpolant

_SAMPLES = 3000


def zoo(setting: Setting) -> list[Planted]:
    """Networks taught by the simulator and by an alternative law."""
    exact = simulator(setting.robot)

    def taught(teacher: Callable) -> Interpolant:
        network = MLPRegressor(
            hidden_layer_sizes=(96, 96), activation="tanh", max_iter=150, random_state=0
        )
        return Interpolant(network, setting, _SAMPLES, teacher=teacher)

    def lawful() -> Callable:
        return with_strong_force(setting, "drag of power 2")

    return [
        Planted(kind="network of the simulator", truth=None, build=lambda: taught(exact)),
        Planted(kind="network distilled from a law", truth=None, build=lambda: taught(lawful())),
    ]
