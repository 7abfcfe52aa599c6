"""The families of world models, one a file."""
