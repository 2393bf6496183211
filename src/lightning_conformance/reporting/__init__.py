"""Verdicts for people: the report, its text, and the catalogue of checks."""
