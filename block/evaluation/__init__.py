"""How good the labels are by the user's own annotations: metrics, thresholds, comparisons, a report."""

from block.settings import SettingsError


def check_installed() -> None:
    """Raise SettingsError if scikit-learn or Jinja is not installed."""
    try:
        import jinja2  # noqa: F401
        import sklearn.metrics
        import sklearn.model_selection  # noqa: F401
    except (ImportError, OSError) as error:
        raise SettingsError(
            f"evaluate needs scikit-learn and Jinja ({error}): pip install -r locked/folder.txt"
        ) from None
