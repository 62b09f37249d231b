"""What fast mode's audit found out, as counts and as lines for the user."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from block.formatting import count, list_first, make_printable
from block.labeling.agreement import Tally, compute_lower_bound

TELLING = 29  # windows of a label: if all agree, at least 90 % do
LABELS_SHOWN = 20


@dataclass
class AuditFindings:
    """What the windows that `path` computed have in common with the exact ones.

    `uniform` has the audit's uniform share, which is a fair sample of all `windows` windows; `opening` has the windows
    of the opening audit, a fair sample of the first batch. `by_label` has the uniform share by the label that either
    mode found. `recomputed` windows were close to another label. `stored` windows kept the scores of an earlier run.
    """

    path: str = ""
    windows: int = 0
    batches: int = 0
    recomputed: int = 0
    stored: int = 0
    uniform: Tally = field(default_factory=Tally)
    opening: Tally = field(default_factory=Tally)
    by_label: dict[str, Tally] = field(default_factory=dict)

    def add_uniform(self, exact: Iterable[str], fast: Iterable[str], other: str) -> None:
        """Add windows of the uniform share with their labels in exact mode and on the path; `other` means none."""
        for one, found in zip(exact, fast, strict=True):
            self.uniform = self.uniform.add_window(one, found, other, 0.0)
            for name in {one, found} - {other}:
                self.by_label[name] = self.by_label.get(name, Tally()).add_window(one, found, other, 0.0)

    def add_opening(self, exact: Iterable[str], fast: Iterable[str], other: str) -> None:
        for one, found in zip(exact, fast, strict=True):
            self.opening = self.opening.add_window(one, found, other, 0.0)

    def describe(self, labels: Sequence[str], largest_error: float) -> list[str]:
        """Return lines about the whole run with labels of interest `labels`; scores were off by `largest_error`."""
        lines = []
        if self.windows:
            # The opening is a fair sample of the first batch only; the larger sample says more.
            tally = self.opening if self.batches == 1 and self.opening.windows > self.uniform.windows else self.uniform
            bound = tally.lower_bound
            lines.append(
                f"fast mode: {tally.agreed} of {tally.windows} windows drawn at random got the same label "
                f"({tally.heard_agreed} of {tally.heard} with a label of interest), so at least {bound * 100:.1f} % of "
                f"the {count(self.windows, 'window')} labeled by {self.path} do, with 95 % confidence; largest score "
                f"difference {largest_error:.4f}; {self.recomputed:,} were close to another label and were recomputed "
                "exactly"
            )
            shown = list_first([self._describe_label(name) for name in dict.fromkeys(labels)], LABELS_SHOWN)
            lines.append(f"fast mode, of windows drawn at random: {shown}")
        if self.stored:
            lines.append(
                f"fast mode: {count(self.stored, 'window')} kept the stored scores of a fast path, which this run "
                "didn't audit; their label can't change within the error that the earlier run found"
            )
        return lines

    def _describe_label(self, name: str) -> str:
        tally = self.by_label.get(name, Tally())
        bound = compute_lower_bound(tally.agreed, tally.windows)
        says = f"at least {bound * 100:.0f} %" if tally.windows >= TELLING else "too few to tell"
        return f"{make_printable(name)} {tally.agreed} of {tally.windows} ({says})"
