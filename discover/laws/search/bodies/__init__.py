"""Forces of bodies: a typed grammar of what bodies show, and the search for what acts on them."""
