"""Who pays how much of a bill."""

from collections.abc import Mapping


def split(total: int, weights: Mapping[str, int]) -> dict[str, int]:
    """Cents for each name, in proportion to its weight. Raises ValueError when nobody has a weight."""
    whole = sum(weights.values())
    if whole <= 0 or any(weight < 0 for weight in weights.values()):
        raise ValueError("weights must not be negative, and at least one must be positive")
    return {name: total * weight // whole for name, weight in weights.items()}
