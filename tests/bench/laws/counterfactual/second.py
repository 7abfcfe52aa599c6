"""The second list: fifteen laws of other formulas, written on 2026-12-01 together with the first
and before any run of the bench; scored once, after what the first list's misses showed was mended
(engine of commit e3032492). The author of both is the same. Seen since.
"""

from __future__ import annotations

from tests.bench.laws.counterfactual.contract import CounterfactualLaw as Law

LAWS = (
    Law("pendulum", 1, "2*pi*sqrt(L/g)", "6.2*(L/g)**0.65", (("L", 0.5, 3), ("g", 2, 10))),
    Law("gas", 1, "R*n*T/V", "8.3*n*T**1.3/V", (("n", 1, 4), ("T", 1, 5), ("V", 1, 3))),
    Law("drag", 1, "c*rho*A*v**2/2", "0.5*c*rho*v**2.7",
        (("c", 0.3, 1.5), ("rho", 0.5, 2), ("v", 0.5, 4))),
    Law("charging", 1, "U*(1-exp(-t/T))", "U*(1-exp(-(t/T)**2))",
        (("U", 1, 6), ("t", 0.2, 3), ("T", 1, 3))),
    Law("spectrum", 1, "f**3/(exp(f/T)-1)", "f**2.2/(exp(f/T)-1)", (("f", 0.5, 4), ("T", 0.7, 3))),
    Law("lens", 2, "1/(1/f-1/u)", "1/sqrt(1/f**2-1/u**2)", (("f", 0.5, 2), ("u", 3, 7))),
    Law("gas", 2, "R*n*T/V", "8.3*n*T/(V-0.2*n)", (("n", 1, 4), ("T", 1, 5), ("V", 2, 5))),
    Law("Doppler", 2, "f*(c+v)/(c-u)", "f*(c+v)**2/(c**2+u**2)",
        (("f", 1, 4), ("c", 3, 6), ("v", 0.2, 2), ("u", 0.2, 2))),
    Law("reactions", 2, "A*exp(-E/T)", "A*sqrt(T)*exp(-E/(T+0.6))",
        (("A", 1, 5), ("E", 1, 4), ("T", 0.8, 3))),
    Law("flow", 2, "rho*(v1**2-v2**2)/2", "0.5*rho*(v1**1.5-v2**1.5)",
        (("rho", 0.5, 2), ("v1", 2, 5), ("v2", 0.5, 1.8))),
    Law("diffusion", 3, "N*exp(-x**2/(4*t))/sqrt(t)", "N*exp(-x**2/(3*t))/t**0.8",
        (("N", 1, 5), ("x", 0.2, 2.5), ("t", 0.5, 3))),
    Law("relativity", 3, "m*v/sqrt(1-(v/c)**2)", "m*v/sqrt(1-(v/c)**3)+0.2*v**2",
        (("m", 1, 4), ("v", 0.5, 2.5), ("c", 6, 9))),
    Law("friction", 3, "mu*N", "N*(0.3+0.5*exp(-1.2*v))+0.2*v", (("N", 1, 6), ("v", 0.1, 4))),
    Law("capillarity", 3, "2*s*cos(th)/r", "2*s*cos(th)**2/r**1.5+0.3*r",
        (("s", 0.5, 2), ("th", 0.1, 1.3), ("r", 0.5, 3))),
    Law("rockets", 3, "u*log(m0/m1)-g*t", "u*log(1+m0/m1)-1.2*t**1.5",
        (("u", 1, 5), ("m0", 3, 8), ("m1", 1, 2.5), ("t", 0.2, 2))),
)  # fmt: skip
