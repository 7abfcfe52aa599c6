"""The law of recorded motions: bodies, drives and their uncertainty, identified in joint forces."""
