"""Files of logs as tables of columns: one reader a format, and which of them reads a file."""
