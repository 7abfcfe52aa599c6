"""The opening of an examination: arguments, query session, first answers, step and friction."""
