"""From measured numbers to evidence: names, nulls and meanings of all that an inquiry measures."""

from __future__ import annotations

from discover.judgement.evidence import Evidence
from discover.judgement.verdict import supported, threshold_of

_MEANING = {
    "law error in the region": "the physics law on held-out answers in the region, beyond noise",
    "refit error far out": "rigid-body law fitted out to 2 half-widths, tested beyond, worst axis",
    "self-extrapolation error": "rigid-body law fitted in the region only, at 2–3, worst axis",
    "residual growth": "what the physics law leaves over: at 2–3 half-widths over inside",
    "low-dimensional predictability": "R² of the torque residual from a few variables",
    "gain of extra terms": "far error of the physics law over that of the law with other terms",
    "cost of possible parameters": "1 + what physically possible bodies cost, over the law's error",
    "best law error in the region": "the best law of all that were fitted, on held-out answers",
    "end of the law inside": "of a model that stands still far out: half-widths to which the law "
    "of the region goes on, on the one of q, v and tau that it ends on first",
    "end of the law up to noise": "the same of a model that is a law up to noise inside: where its "
    "error beyond noise crosses a twentieth",
    "grain of what is left over": "share of the best law's residual that changes within a fraction "
    "of a half-width, as between remembered samples, beyond noise",
    "resolution": "departures from the law that could have hidden in noise and residual",
    "extended law error far out": "the best law with other terms, frozen, at 2–3 half-widths",
    "best law error far out": "the best of all laws at 2–3 half-widths, worst axis",
    "far curvature": "second difference at 9–11 half-widths over inside, the lesser of q and v; 0 "
    "where that in v has nothing to do with the one at twice the distance",
    "growth of the inertia's misfit": "misfit of the response to tau, outside over inside",
    "frozen steps": "fraction of steps of 1/1000 half-width that change nothing",
    "kept label noise": "correlation of label noise with the model's answers at training points",
    "train/fresh gap": "log10 of the error at fresh points over that at training points",
    "error against distance to training data": "rank correlation",
    "repeatability": "spread of repeated answers over the spread of a",
}
_NULLS = {
    "residual growth": 1.0,
    "gain of extra terms": 1.0,
    "cost of possible parameters": 1.0,
    "far curvature": 1.0,
    "growth of the inertia's misfit": 1.0,
}


def evidence_from(
    values: dict[str, float], bands: dict[str, tuple[float, float]]
) -> list[Evidence]:
    """One Evidence a measured value; `bands` gives intervals where they are known."""
    return [
        Evidence(
            name=name,
            value=value,
            interval=bands.get(name, (value, value)),
            null=_NULLS.get(name, 0.0),
            threshold=threshold_of(name),
            supports=supported(name, value),
            meaning=_MEANING[name],
        )
        for name, value in values.items()
    ]


_IDENTITIES = {
    "tau_affinity": "curvature of a in tau over its slope; 0 for mechanics",
    "symmetry": "antisymmetric part of ∂a/∂tau; 0 for mechanics",
    "definiteness": "least over largest eigenvalue of ∂a/∂tau; positive for mechanics",
    "v_independence": "change of ∂a/∂tau with v; 0 for mechanics",
    "quadratic_bias": "departure of the bias from a quadratic in v; 0 without friction",
    "gravity_curl": "antisymmetric part of ∂(gravity force)/∂q; 0 if there is a potential",
    "power": "work done by inertia itself; 0 for mechanics",
    "christoffel": "departure of the velocity forces from what H(q) demands; 0 for mechanics",
}


def descriptions(identities: dict[str, float]) -> list[Evidence]:
    """Local identities as evidence that supports nothing by itself."""
    return [
        Evidence(
            name=f"structure: {name.replace('_', ' ')}",
            value=value,
            interval=(value, value),
            null=0.0,
            meaning=_IDENTITIES[name],
        )
        for name, value in identities.items()
    ]


def described(values: dict[str, tuple[float, str]]) -> list[Evidence]:
    """Numbers with their meanings, as evidence that supports nothing by itself."""
    return [
        Evidence(name=name, value=value, interval=(value, value), meaning=meaning)
        for name, (value, meaning) in values.items()
    ]
