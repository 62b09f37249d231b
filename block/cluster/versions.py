"""Which software this machine runs."""


def here() -> dict[str, str]:
    """Nothing yet."""
    return {}


def differences(mine: dict[str, str], theirs: dict[str, str]) -> str:
    """Nothing yet."""
    return ""
