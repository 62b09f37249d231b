"""A person's verdicts on what sounds like a part of a recording, kept in the project's database."""

from __future__ import annotations

from dataclasses import astuple, dataclass

from block.local_studio.data.store import SampleStore


@dataclass(frozen=True, order=True)
class SoundSpan:
    """The values `start` … `end` - 1 of a sample."""

    sample_id: int
    start: int
    end: int

    def overlaps(self, other: SoundSpan) -> bool:
        """Return True if both have a value in common."""
        return self.sample_id == other.sample_id and self.start < other.end and other.start < self.end


@dataclass(frozen=True)
class Example:
    """A person's verdict: `span` sounds like what the person looks for, or not."""

    span: SoundSpan
    is_like: bool


class ExampleStore:
    """The examples in the project's database, by the sound that they are about. Can be used from several threads."""

    def __init__(self, store: SampleStore) -> None:
        self._store = store

    def list(self, sound: SoundSpan) -> list[Example]:
        """Return the verdicts on what is like `sound`, in the order of their first verdicts, without missing files."""
        found = self._store.read(
            'SELECT sample_id, "start", "end", is_like FROM examples JOIN samples ON samples.id = sample_id '
            "WHERE sound_sample = ? AND sound_start = ? AND sound_end = ? AND NOT is_missing ORDER BY examples.rowid",
            *astuple(sound),
        )
        return [Example(SoundSpan(row["sample_id"], row["start"], row["end"]), bool(row["is_like"])) for row in found]

    def mark(self, sound: SoundSpan, example: Example) -> None:
        """Store a verdict. It replaces an earlier one on the same span."""
        with self._store.transaction() as db:
            db.execute(
                "INSERT INTO examples VALUES (?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT DO UPDATE SET is_like = excluded.is_like",
                (*astuple(sound), *astuple(example.span), example.is_like),
            )

    def unmark(self, sound: SoundSpan, span: SoundSpan) -> None:
        """Delete the verdict on a span, if there is one."""
        with self._store.transaction() as db:
            db.execute(
                "DELETE FROM examples WHERE sound_sample = ? AND sound_start = ? AND sound_end = ? "
                'AND sample_id = ? AND "start" = ? AND "end" = ?',
                (*astuple(sound), *astuple(span)),
            )
