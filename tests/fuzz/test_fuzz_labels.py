"""Any text typed as a list of labels is read or refused, in time linear in its length."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from block.class_names import LabelError
from block.labeling.job import format_labels
from block.labels import describe_unreachable_labels, parse_labels
from block.model.checkpoint import read_checkpoint
from block.ontology import load_audioset
from tests.conftest import EMBEDDED
from tests.fuzz.drawn import any_text, examples

NAMES = read_checkpoint(EMBEDDED).class_names
STARRED = [f"{node.name}*" for node in load_audioset().nodes.values()]
pieces = (
    st.sampled_from([*NAMES, *STARRED])
    | st.sampled_from(
        ["(", ")", ",", "*", "\n", "\\n", " ", "\t", "\u2028", "\x85", "0.5", "4%", "1e400", "nan", "-1", "İ", "\u017f"]
    )
    | any_text
)


@examples(300)
@given(st.lists(pieces, max_size=12).map("".join), st.floats(0, 1))
@example("Speech (" + "1" * 400 + ")", 0.2)
@example("Speech (\ud800)", 0.2)
def test_any_text_is_read_or_refused(text: str, threshold: float) -> None:
    try:
        labels = parse_labels(text, NAMES, threshold)
    except LabelError:
        return
    assert parse_labels(format_labels(labels), NAMES, threshold) == labels
    assert all(0 <= label.threshold <= 1 and label.name and set(label.indices) <= set(range(527)) for label in labels)
    describe_unreachable_labels(labels)


@examples(100)
@given(st.lists(any_text, min_size=1, max_size=8), any_text | st.just(""))
def test_any_list_of_class_names_is_read_or_refused(names: list[str], text: str) -> None:
    for typed in (text, ", ".join(names), f"{names[0]}*", f"{names[0]} (x)"):
        try:
            parse_labels(typed, names, 0.2)
        except LabelError:
            continue


N = 100_000
LONG = {
    "opened": "(" * N,
    "opened after a class": "Speech " + "(" * N,
    "balanced": "Speech " + "(" * N + ")" * N,
    "commas": "," * N,
    "spaces within a name": "Male" + " " * N + "speech",
    "spaces after a name": "Speech" + " " * N + "x",
    "lines": " \n" * N,
    "stars": "Animal" + "*" * N,
    "a class again and again": "Speech " * (N // 7),
    "an unknown word": "a" * N,
    "unknown words": "Speach, " * (N // 8),
    "different unknown words": ", ".join(f"Speach{number}" for number in range(N // 10)),
    "digits": "Speech (" + "1" * N + "x)",
    "spaces in parentheses": "Speech (" + " " * N + "x)",
    "numbers": "Speech (" + "1,1 ," * N + "x)",
    "percent signs": "Speech (" + "1%" * N + "% " * N + "x)",
    "points": "Speech (" + "1." * N + ")",
    "every class, far apart": "\n".join(name + " " * 200 for name in NAMES),
    "every name, on one line that ends badly": ", ".join([*NAMES, "Animal*", "Music*", "x" * N]),
}


@pytest.mark.parametrize("case", LONG)
def test_a_long_list_takes_linear_time(case: str) -> None:
    # CPU time, which doesn't grow on a busy machine. All take under 0.2 s; quadratic time would be hours.
    started = time.process_time()
    with contextlib.suppress(LabelError):
        parse_labels(LONG[case], NAMES, 0.2)
    assert time.process_time() - started < 5
