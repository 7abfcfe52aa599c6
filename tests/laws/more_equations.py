"""Equations beside the ten of the bench: of the Feynman lectures, other textbooks, and the like.

With FIRST the search was made; SECOND were written down afterwards, and their results have been
read since. Both were last looked at on 2026-11-30. Each is name, formula, variables
"name:low:high:unit", unit of the whole.
"""

import re

BASE = ("m", "s", "kg", "K", "V")
DERIVED = {
    "J": "m2 s-2 kg", "C": "m2 s-2 kg V-1", "N": "m s-2 kg", "J/K": "m2 s-2 kg K-1",
    "J/T": "m4 s-3 kg V-1", "T": "m-2 s V", "V/m": "m-1 V", "F/m": "m s-2 kg V-2",
    "Cm": "m3 s-2 kg V-1", "Js": "m2 s-1 kg", "W": "m2 s-3 kg", "Pa": "m-1 s-2 kg",
    "G": "m3 s-2 kg-1", "v": "m s-1", "I": "s-3 kg",
}  # fmt: skip

FIRST = (
    ("I.8.14", "sqrt((x2-x1)**2+(y2-y1)**2)", "x1:1:5:m x2:1:5:m y1:1:5:m y2:1:5:m", "m"),
    ("I.10.7", "m0/sqrt(1-v**2/c**2)", "m0:1:5:kg v:1:2:v c:3:10:v", "kg"),
    ("I.11.19", "x*a+y*b+z*d", "x:1:5:1 y:1:5:1 z:1:5:1 a:1:5:1 b:1:5:1 d:1:5:1", "1"),
    ("I.18.4", "(m1*r1+m2*r2)/(m1+m2)", "m1:1:5:kg m2:1:5:kg r1:1:5:m r2:1:5:m", "m"),
    ("I.27.6", "1/(1/d1+n/d2)", "d1:1:5:m d2:1:5:m n:1:5:1", "m"),
    ("I.30.3", "i0*sin(n*t/2)**2/sin(t/2)**2", "i0:1:5:I t:1:5:1 n:1:5:1", "I"),
    ("I.37.4", "i1+i2+2*sqrt(i1*i2)*cos(d)", "i1:1:5:I i2:1:5:I d:1:5:1", "I"),
    ("I.44.4", "n*k*T*log(w/u)", "n:1:5:1 k:1:5:J/K T:1:5:K u:1:5:m3 w:1:5:m3", "J"),
    ("I.50.26", "x*(cos(w*t)+a*cos(w*t)**2)", "x:1:3:m w:1:3:s-1 t:1:3:s a:1:3:1", "m"),
    ("II.24.17", "sqrt(w**2/c**2-pi**2/d**2)", "w:4:6:s-1 c:1:2:v d:2:4:m", "m-1"),
    ("III.4.32", "1/(exp(h*w/(2*pi*k*T))-1)", "h:1:5:Js w:1:5:s-1 k:1:5:J/K T:1:5:K", "1"),
    ("aberration", "acos((cos(u)-v/c)/(1-v*cos(u)/c))", "c:4:6:v v:1:3:v u:1:3:1", "1"),
    ("slit", "i*(sin(a/2)*sin(n*d/2)/(a/2*sin(d/2)))**2", "i:1:3:1 a:1:3:1 d:1:3:1 n:1:2:1", "1"),
    ("Nguyen 6", "sin(x)+sin(x+x**2)", "x:0.1:2", None),
    ("Nguyen 12", "x**4-x**3+y**2/2-y", "x:0.5:2 y:0.5:2", None),
)

SECOND = (
    ("I.6.20b", "exp(-((a-b)/s)**2/2)/(sqrt(2*pi)*s)", "s:1:3:1 a:1:3:1 b:1:3:1", "1"),
    ("I.12.4", "q/(4*pi*e*r**2)", "q:1:5:C e:1:5:F/m r:1:5:m", "V/m"),
    ("II.11.3", "q*f/(m*(u**2-w**2))", "q:1:3:C f:1:3:V/m m:1:3:kg u:3:5:s-1 w:1:2:s-1", "m"),
    ("II.21.32", "q/(4*pi*e*r*(1-v/c))", "q:1:5:C e:1:5:F/m r:1:5:m v:1:2:v c:3:10:v", "V"),
    ("II.37.1", "p*(1+x)*b", "p:1:5:J/T x:1:5:1 b:1:5:T", "J"),
    ("III.10", "sqrt((a-b)**2/4+g**2)+(a+b)/2", "a:1:5:J b:1:5:J g:1:5:J", "J"),
    ("III.19.51", "-m*q**4/(2*(4*pi*e)**2*h**2*n**2)",
     "m:1:5:kg q:1:5:C e:1:5:F/m h:1:5:Js n:1:5:1",
     "J"),
    ("waves", "32*g**4*(a*b)**2*(a+b)/(5*c**5*r**5)", "g:1:2:G c:1:2:v a:1:5:kg b:1:5:kg r:1:2:m",
     "W"),
    ("Doppler", "w*sqrt((1+v/c)/(1-v/c))", "w:1:5:s-1 v:1:2:v c:3:10:v", "s-1"),
    ("Jackson 3.45", "q/(4*pi*e*sqrt(r**2+d**2-2*r*d*cos(a)))",
     "q:1:5:C e:1:5:F/m r:1:3:m d:4:6:m a:0.1:6:1", "V"),
    ("Jackson 4.60", "f*cos(t)*(d**3/r**2*(a-1)/(a+2)-r)",
     "f:1:5:V/m t:0.1:6:1 r:1:5:m d:1:5:m a:2:5:1", "V"),
    ("Jackson 11.38", "w*(1+v/c*cos(t))/sqrt(1-v**2/c**2)", "w:1:5:s-1 v:1:2:v c:3:10:v t:0.1:6:1",
     "s-1"),
    ("Weinberg 15.2", "sqrt(8*pi*g*r/3-k*c**2/a**2)",
     "g:1:3:G r:4:6:m-3,kg k:1:2:1 c:1:2:v a:2:3:m", "s-1"),
    ("Schwarzschild", "c*c*sqrt(1-2*g*m/(r*c**2))", "g:1:2:G m:1:2:kg r:4:8:m c:2:4:v", "m2 s-2"),
    ("damped", "a*exp(-t/u)*cos(w*t)", "a:1:3:m t:1:3:s u:1:3:s w:1:3:s-1", "m"),
    ("Langmuir", "s*k*p/(1+k*p)", "s:1:3:1 k:0.5:2:m,s2,kg-1 p:0.5:3:Pa", "1"),
)  # fmt: skip


def unit(text):
    """Exponents of the base units."""
    out = [0] * len(BASE)
    for word in re.split("[ ,]", DERIVED.get(text, text)):
        name, power = re.fullmatch(r"(m|s|kg|K|V|1)(-?\d+)?", word).groups()
        if name != "1":
            out[BASE.index(name)] += int(power or 1)
    return tuple(out)


def variables(text):
    """Names, lows, highs and units of "name:low:high:unit …"; units None where there are none."""
    parts = [word.split(":") for word in text.split()]
    units = [unit(p[3]) for p in parts] if len(parts[0]) == 4 else None
    return [p[0] for p in parts], [float(p[1]) for p in parts], [float(p[2]) for p in parts], units
