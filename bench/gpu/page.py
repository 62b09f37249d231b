"""Write the table of docs/gpu.md from the JSON of proofs: python -m bench.gpu.page

The proofs are docs/gpu-*.json, copies of build/gpu/gpu.json. Without any, the cells say so.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.gpu.facts import Fact, ProofReport, read_report
from bench.gpu.table import format_value, name_device

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE, RESULTS = DOCS / "gpu.md", "gpu-*.json"
BEGIN, END = "<!-- table: written by python -m bench.gpu.page -->\n", "<!-- end of the table -->\n"
NOT_RUN, NOT_MEASURED = "not run yet", "–"
# What the table shows: the key of a fact, the text, and the goal or limit.
ROWS = (
    ("peak.bfloat16", "fastest matrix product, bfloat16", ""),
    ("features.max.10000", "features against ASTFeatureExtractor, windows of 10 s: largest difference", "≤ 0.001"),
    ("features.rmse.10000", "the same, RMSE", "≤ 0.00001"),
    ("exact.logits.large", "float32 logits against the CPU's, full-size model: largest difference", "≤ 0.001"),
    ("exact.labels.embedded", "float32 labels equal to the CPU's, embedded model", "all"),
    ("half.labels.bfloat16", "bfloat16: labels equal to float32's, embedded model, real recordings", "≥ 0.995"),
    ("half.scores.bfloat16", "bfloat16: largest score difference", ""),
    ("half.labels.float16", "float16: labels equal to float32's, embedded model, real recordings", "≥ 0.995"),
    ("half.scores.float16", "float16: largest score difference", ""),
    ("golden.float32", "ten published logits, float32: largest difference", "≤ 0.01"),
    ("golden.bfloat16", "ten published logits, bfloat16: largest difference", "≤ 0.3"),
    ("memory.capacity", "windows of the full-size model in one pass, automatic batch size", ""),
    ("memory.share_most.10000", "peak of such a pass, share of its memory budget", "0.6 to 0.95"),
    ("oom.halved", "another tensor takes the memory: the batch is halved", "at least once"),
    ("oom.labels", "labels after that", "the same"),
    ("forward.exact", "forward pass alone, exact", ""),
    ("forward.merged.2000", "forward pass alone, merged, windows of 2 s", ""),
    ("end_to_end.exact.1000", "exact, from files to labels, windows of 1 s", ""),
    ("end_to_end.exact.2000", "exact, from files to labels, windows of 2 s", "about 2,100 on an H100 or H200"),
    ("end_to_end.exact.10000", "exact, from files to labels, windows of 10 s", ""),
    ("share.2000", "the same at 2 s: share of the matrix bound", "≥ 0.7"),
    ("outside.exact.2000", "the same at 2 s: share of time not in the forward pass", ""),
    ("pipeline.2000", "transformers' pipeline at its best batch size, windows of 2 s", ""),
    ("ratio.2000", "exact, from files, over the pipeline, at 2 s", "≥ 5"),
    ("fast.chosen", "fast mode: its audit chooses a faster path, embedded model", ""),
    ("fast.ratio", "fast mode with audits over exact, full-size model, at 2 s (calculated)", "≥ 2"),
    ("feed.ratio", "decoding, features and decisions by themselves, over the forward pass", "≥ 1"),
)  # fmt: skip


def format_table(reports: Sequence[ProofReport]) -> str:
    """Return the table in Markdown, with a column for each proof."""
    names = [name_device(report) for report in reports] or ["a GPU"]
    lines = ["| | goal or limit | " + " | ".join(names) + " |", "|---|---|" + "---|" * len(names)]
    for key, text, limit in ROWS:
        cells = [_format_cell(report, key) for report in reports] or [NOT_RUN]
        lines.append(f"| {text} | {limit} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _format_cell(report: ProofReport, key: str) -> str:
    found: Fact | None = next((fact for fact in report.facts if fact.key == key), None)
    return NOT_MEASURED if found is None else format_value(found).replace("|", "/")


def write_table(page: str, reports: Sequence[ProofReport]) -> str:
    """Return `page` with its table replaced. Raise ValueError if it has no place for one."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the page has no table: expected the lines {BEGIN.strip()} and {END.strip()}")
    return f"{before}{begin}{format_table(reports)}{end}{after}"


def read_results(folder: Path = DOCS) -> list[ProofReport]:
    """Return the proofs in `folder`. Raise ValueError for the dry form, which ran on no GPU."""
    reports = [read_report(json.loads(path.read_text(encoding="utf-8"))) for path in sorted(folder.glob(RESULTS))]
    if any(report.is_dry for report in reports):
        raise ValueError("a proof in docs is of the dry form: its figures are of a CPU; delete it")
    return reports


def main() -> int:
    """Write the table. Return the exit code."""
    try:
        page = write_table(PAGE.read_text(encoding="utf-8"), read_results())
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    PAGE.write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
