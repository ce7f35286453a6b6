"""The one reason for which a suite is not run."""


class Missing(Exception):
    """A suite cannot be run here, and why."""
