"""Muscles: simulators and learned models of an arm, time beside error."""
