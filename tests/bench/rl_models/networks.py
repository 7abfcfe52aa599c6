"""An ensemble of plain networks (observation, action) -> change of the observation, normalised."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

MEMBERS, WIDTH, BATCH = 3, 128, 256
STEPS = 5000  # of Adam, each member
_CONSTANT = 1e-6  # spread below which an observed number is constant: divided by one

Normaliser = dict[str, tuple[np.ndarray, np.ndarray]]


class PlainNetwork(nn.Module):
    """Two hidden layers; its inputs and answers are normalised outside."""

    def __init__(self, observed: int, actions: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(observed + actions, WIDTH),
            nn.SiLU(),
            nn.Linear(WIDTH, WIDTH),
            nn.SiLU(),
            nn.Linear(WIDTH, observed),
        )

    def forward(self, observation: Tensor, action: Tensor) -> Tensor:
        return self.layers(torch.cat([observation, action], dim=-1))


def normaliser_of(data: Mapping[str, np.ndarray]) -> Normaliser:
    """Means and standard deviations, as `discover.wrap(..., normaliser=)` takes them."""
    columns = {
        "observation": data["obs"],
        "action": data["action"],
        "target": data["next_obs"] - data["obs"],
    }
    out = {}
    for name, x in columns.items():
        spread = x.std(0)
        out[name] = x.mean(0), np.where(spread < _CONSTANT, 1.0, spread)
    return out


def train(data: Mapping[str, np.ndarray], normaliser: Normaliser, seed: int) -> list[nn.Module]:
    """The members, each from a start and an order of batches of its own."""
    given = {"observation": data["obs"], "action": data["action"]}
    given["target"] = data["next_obs"] - data["obs"]
    x, u, y = (
        torch.from_numpy((value - normaliser[name][0]) / normaliser[name][1]).float()
        for name, value in given.items()
    )
    members: list[nn.Module] = []
    for k in range(MEMBERS):
        torch.manual_seed(1000 * seed + k)
        network = PlainNetwork(x.shape[-1], u.shape[-1])
        descent = torch.optim.Adam(network.parameters(), 1e-3)
        schedule = torch.optim.lr_scheduler.OneCycleLR(descent, 5e-3, STEPS)
        for _ in range(STEPS):
            rows = torch.randint(len(x), (BATCH,))
            loss = (network(x[rows], u[rows]) - y[rows]).square().mean()
            descent.zero_grad()
            loss.backward()
            descent.step()
            schedule.step()
        members.append(network.eval())
    return members


def one_step(
    members: list[nn.Module], normaliser: Normaliser
) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """(observation, action) -> next observation of the ensemble's mean, arrays."""
    (x0, xs), (u0, us), (y0, ys) = (normaliser[k] for k in ("observation", "action", "target"))

    @torch.no_grad()
    def answer(observation: np.ndarray, action: np.ndarray) -> np.ndarray:
        x = torch.from_numpy((observation - x0) / xs).float()
        u = torch.from_numpy((action - u0) / us).float()
        mean = torch.stack([member(x, u) for member in members]).mean(0)
        return observation + y0 + ys * mean.double().numpy()

    return answer
