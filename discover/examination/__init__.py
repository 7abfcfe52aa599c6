"""`discover.examine` and its stages; `examine.py` reads as what happens."""
