"""Outcomes of items, as far as they matter to a test that expects no failure."""


def sound(outcomes):
    """A check that does not apply is as good as one that passed."""
    return {node_id: "passed" if outcome == "skipped" else outcome for node_id, outcome in outcomes.items()}
