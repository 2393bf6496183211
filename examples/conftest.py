"""A repository of its own has its own pytest."""

collect_ignore = ["downstream"]
