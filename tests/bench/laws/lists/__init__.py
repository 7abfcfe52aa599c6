"""Planted laws, list by list; each list says when it was last looked at.

No list is held out: the search was built, or its misses were read, with every one of them in view.
Laws are also scored by lists outside this repository (`laws_of` takes a path).
"""
