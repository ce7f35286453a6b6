"""The failures that are not Stoa's: RabbitMQ shows them as well, or the suite's own premises do not hold here. One file per suite."""

import fnmatch
from pathlib import Path


class Expected:
    def __init__(self, patterns):
        self.patterns = patterns

    @classmethod
    def load(cls, suite):
        file = Path(__file__).resolve().parents[1] / "expected" / f"{suite}.txt"
        lines = file.read_text().splitlines() if file.exists() else []
        return cls([line.split("  # ")[0].strip() for line in lines if line.strip() and not line.startswith("#")])

    def has(self, name):
        # brackets, in which runners put parameters, are no choice of letters
        return any(fnmatch.fnmatchcase(name, pattern.replace("[", "[[]")) for pattern in self.patterns)
