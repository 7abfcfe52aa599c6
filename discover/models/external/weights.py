"""Weights of somebody's PyTorch module: a state_dict in safetensors, or saved by torch.save.

The module comes from the user's own code; its file holds numbers only, and no code in it is run.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from discover.artifacts import refuse_pointer
from discover.errors import CheckpointError

_SHOWN = 3
_NESTED = 3  # prefixes one in another
_WRAPPERS = ("module", "_orig_mod")  # DataParallel and averaged models; torch.compile
_COUNTER = "n_averaged"  # torch.optim.swa_utils.AveragedModel's own


def with_weights(module: Any, path: Path | str) -> nn.Module:
    """`module`, with the weights of the file, in evaluation mode. Raises CheckpointError.

    Of a training checkpoint the entry with the module's names is read. What wrappers put into names
    ("module", "_orig_mod") is left out wherever it stands, a prefix that all names share ("model")
    too, and the counter of averaged weights.
    """
    path = Path(path)
    if isinstance(module, type) and issubclass(module, nn.Module):
        raise CheckpointError(
            f"module: expected a module, found the class {module.__name__}; write "
            f"module={module.__name__}(…)"
        )
    if not isinstance(module, nn.Module):
        raise CheckpointError(f"module: expected a torch.nn.Module, found {type(module).__name__}")
    own = module.state_dict()
    stored = _stored(path, set(own))
    missing, foreign = sorted(own.keys() - stored.keys()), sorted(stored.keys() - own.keys())
    if missing or foreign:
        raise CheckpointError(
            f"{path}: the weights are not those of {type(module).__name__}: it lacks "
            f"{_some(missing)} and has {_some(foreign)} more; build the module as it was trained"
        )
    for name, x in own.items():
        if x.shape != stored[name].shape:
            raise CheckpointError(
                f"{path}: {name} has shape {tuple(stored[name].shape)}, the module's has "
                f"{tuple(x.shape)}; build the module as it was trained"
            )
    dtypes = {x.dtype for x in stored.values() if x.is_floating_point()}
    if len(dtypes) == 1:
        module = module.to(dtypes.pop())
    module.load_state_dict(stored, strict=True)
    return module.eval()


def _stored(path: Path, wanted: set[str]) -> dict[str, Tensor]:
    """The weights of the file by the module's names, as far as they have them."""
    if not path.is_file():
        raise CheckpointError(f"expected weights at {path}, found no such file")
    refuse_pointer(path, CheckpointError)
    if path.suffix == ".safetensors":
        try:
            with safe_open(path, framework="pt", device="cpu") as stored:
                tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
                return _plain(tensors, wanted)
        except (SafetensorError, OSError, ValueError) as error:
            raise CheckpointError(
                f"expected a whole safetensors file at {path}, found a truncated or foreign one "
                f"({str(error).splitlines()[0]})"
            ) from error
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, OSError) as error:
        raise CheckpointError(
            f"{path} holds more than weights, and could run code on loading: refused; store "
            "safetensors.torch.save_file(module.state_dict(), 'weights.safetensors')"
        ) from error
    if _is_state(content):
        return _plain(content, wanted)
    entries = content if isinstance(content, Mapping) else {}
    states = {str(key): _plain(x, wanted) for key, x in entries.items() if _is_state(x)}
    fitting = [key for key, state in states.items() if set(state) == wanted] or list(states)
    if len(fitting) == 1:
        return states[fitting[0]]
    found = f"{len(fitting)} ({_some(fitting)})" if fitting else type(content).__name__
    raise CheckpointError(
        f"expected a state_dict at {path}, found {found}; store module.state_dict()"
    )


def _is_state(x: Any) -> bool:
    """Whether this is a state_dict: names and tensors, and nothing else."""
    return (
        isinstance(x, Mapping)
        and bool(x)
        and all(isinstance(k, str) and isinstance(y, Tensor) for k, y in x.items())
    )


def _plain(stored: Mapping[str, Tensor], wanted: set[str]) -> dict[str, Tensor]:
    """The same weights without what wrappers add to them, where the module has no such names."""
    stored = dict(stored)
    if _COUNTER not in wanted:
        stored.pop(_COUNTER, None)
    foreign = {p for p in _WRAPPERS if not any(p in name.split(".") for name in wanted)}
    bare = {".".join(p for p in n.split(".") if p not in foreign): x for n, x in stored.items()}
    return _without_prefix(bare if len(bare) == len(stored) else stored, wanted)


def _without_prefix(stored: dict[str, Tensor], wanted: set[str]) -> dict[str, Tensor]:
    own_heads = {name.partition(".")[0] for name in wanted}
    for _ in range(_NESTED):
        heads = {name.partition(".")[0] for name in stored}
        if heads <= own_heads or len(heads) != 1 or not all("." in name for name in stored):
            break
        stored = {name.partition(".")[2]: x for name, x in stored.items()}
    return stored


def _some(names: list[str]) -> str:
    if not names:
        return "nothing"
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
