"""A law as SymPy, LaTeX, C, Python, torch and straight-line programs."""
