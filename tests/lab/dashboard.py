"""What a dashboard asks Prometheus. Without its library, which a tester need not have."""


def expressions(value: object) -> list[str]:
    """All that are in a dashboard, at any depth."""
    if isinstance(value, list):
        return [found for one in value for found in expressions(one)]
    if not isinstance(value, dict):
        return []
    own = [str(value[key]) for key in ("expr", "definition") if key in value]
    return own + [found for one in value.values() for found in expressions(one)]
