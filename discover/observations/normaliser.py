"""Normalisation of a network's inputs and targets: means and standard deviations, clipping."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from discover.errors import ModelError

_ALIASES = {
    "observation": "observation obs ob observations state states",
    "action": "action act ac actions",
    "input": "input inputs in",
    "target": "target targets output outputs out delta next next_obs",
}
KEYS = tuple(_ALIASES)
_KEY = {alias: key for key, aliases in _ALIASES.items() for alias in aliases.split()}
_MEAN = ("mean", "mean_", "mu", "running_mean", "loc")
_STD = ("std", "std_", "scale_", "scale", "sigma")
_VARIANCE = ("var", "var_", "variance", "running_var")
_EXAMPLE = 'normaliser = {"observation": (mean, std), "action": (mean, std), "target": (mean, std)}'


@dataclass(frozen=True, eq=False)
class Normaliser:
    """x → clip((x - mean) / std, ±clip), both (n,), and back without the clipping."""

    mean: Tensor
    std: Tensor
    clip: float | None = None

    def inward(self, x: Tensor) -> Tensor:
        x = (x - self.mean.to(x)) / self.std.to(x)
        return x if self.clip is None else x.clamp(-self.clip, self.clip)

    def outward(self, y: Tensor) -> Tensor:
        return y * self.std.to(y) + self.mean.to(y)


def read_normaliser(given: Any, sizes: Mapping[str, int]) -> dict[str, Normaliser]:
    """Normalisers by what they are of: observation, action, target.

    given  a mapping with those keys (or "input": observation and action side by side), or the
           observation's alone. Each is (mean, std), a mapping or an object with mean and std (or
           var, with epsilon), and clip; or a path to .npz (observation_mean, …) or .toml. An object
           with `obs_rms`, as reinforcement-learning libraries have it, is the observation's.
    sizes  of observation, action and target. Raises ModelError, one line.
    """
    if given is None:
        return {}
    if isinstance(given, str | Path):
        given = _file(Path(given))
    if isinstance(given, Normaliser) or not isinstance(given, Mapping) or _first(given, _MEAN):
        given = {"observation": given}
    out: dict[str, Normaliser] = {}
    for name, one in given.items():
        key = _KEY.get(str(name))
        if key is None:
            raise ModelError(f"normaliser: expected {', '.join(KEYS)}, found '{name}'; {_EXAMPLE}")
        if one is None:
            continue
        if key == "input":
            both = _one(str(name), one, sizes["observation"] + sizes["action"])
            cut = sizes["observation"]
            out["observation"] = Normaliser(both.mean[:cut], both.std[:cut], both.clip)
            out["action"] = Normaliser(both.mean[cut:], both.std[cut:], both.clip)
        else:
            out[key] = _one(str(name), one, sizes[key])
    return out


def _one(name: str, given: Any, size: int) -> Normaliser:
    mean: Any
    std: Any
    clip: Any
    epsilon: Any
    if isinstance(given, Normaliser):
        mean, std, clip, epsilon = given.mean, given.std, given.clip, 0.0
    elif isinstance(given, tuple | list) and len(given) == 2:
        (mean, std), clip, epsilon = given, None, 0.0
    else:
        clip = _value(given, ("clip", "clip_obs"))
        epsilon = _value(given, ("epsilon", "eps")) or 0.0
        inner = _value(given, ("obs_rms",))
        inner = given if inner is None else inner
        mean, std = _value(inner, _MEAN), _value(inner, _STD)
        variance = _value(inner, _VARIANCE)
        if std is None and variance is not None:
            std = np.sqrt(_numbers(name, "var", variance, size) + float(epsilon))
            epsilon = 0.0
        if mean is None or std is None:
            raise ModelError(
                f"normaliser.{name}: expected mean and std (or var), found "
                f"{type(given).__name__}; {_EXAMPLE}"
            )
    mean, std = _numbers(name, "mean", mean, size), _numbers(name, "std", std, size)
    std = std + float(epsilon)
    if not (std > 0).all():
        where = int(np.flatnonzero(~(std > 0))[0])
        raise ModelError(
            f"normaliser.{name}: expected std above zero, found {std[where]:g} at number {where}; "
            "give 1 there, or epsilon"
        )
    if clip is not None and not float(clip) > 0:
        raise ModelError(f"normaliser.{name}: expected clip above zero, found {clip!r}")
    return Normaliser(
        torch.from_numpy(mean), torch.from_numpy(std), None if clip is None else float(clip)
    )


def _first(given: Any, names: tuple[str, ...]) -> str | None:
    return next((n for n in names if isinstance(given, Mapping) and n in given), None)


def _value(given: Any, names: tuple[str, ...]) -> Any:
    """The first of these entries or attributes that is there and is no function."""
    for name in names:
        value = given.get(name) if isinstance(given, Mapping) else getattr(given, name, None)
        if value is not None and not callable(value):
            return value
    return None


def _numbers(name: str, what: str, given: Any, size: int) -> np.ndarray:
    if isinstance(given, Tensor):
        given = given.detach().cpu().numpy()
    try:
        values = np.squeeze(np.asarray(given, dtype=np.float64))
        values = np.broadcast_to(values, (size,)).copy()
    except (TypeError, ValueError):
        raise ModelError(
            f"normaliser.{name}.{what}: expected a number or {size} of them, found shape "
            f"{np.shape(given)}"
        ) from None
    if not np.isfinite(values).all():
        raise ModelError(f"normaliser.{name}.{what}: expected finite numbers")
    return values


def _file(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ModelError(f"normaliser: expected a file at {path}, found none")
    if path.suffix == ".toml":
        try:
            return tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ModelError(f"normaliser: {path} is not TOML: {error}") from error
    if path.suffix != ".npz":
        raise ModelError(f"normaliser: expected .npz or .toml, found {path.name}")
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError) as error:
        raise ModelError(
            f"normaliser: {path} could not be read ({' '.join(str(error).split())[:120]}); store "
            "plain arrays with numpy.savez"
        ) from error
    if _first(arrays, _MEAN):
        return arrays
    nested: dict[str, dict[str, Any]] = {}
    for name, array in arrays.items():
        key, _, what = name.rpartition("_")
        nested.setdefault(key or name, {})[what] = array
    return nested
