"""A network as something that can be opened, read, and run again from the middle."""
