"""The score store: logits kept on disk, so that labels can be decided again without audio and without the model.

A folder of Parquet files, `scores-….parquet`, that any Parquet reader opens. A row is a recording:

| column | type | |
|---|---|---|
| `content` | string | SHA-256 of the sound file's bytes, in hexadecimal |
| `values` | int64 | how many values the recording has |
| `rate_numerator`, `rate_denominator` | int64 | values a second, as a fraction |
| `mode` | string | how the logits were computed: `exact`, or `fast` and the path that some windows took |
| `pieces` | int32 | the length of `logits` |
| `piece_counts` | list of int32 | pieces of each window in order; 0: left out as silent |
| `levels_dbfs` | list of float32 | each window's RMS level in dB below full scale; −infinity for digital silence |
| `logits` | list of lists of float32 | a list for each piece, those of a window together, with a logit for each class |

The schema's metadata holds JSON: under `ast_score_store` the format's version and what the logits depend on (the
fields of `Key`), under `class_names` the names of the classes in the order of the logits. A folder may hold several
keys. A file belongs to one; its name tells files apart and nothing else.

A file appears whole or not at all: it is written under a name that ends in `.tmp`, brought to the disk, then renamed.
Files that are damaged, or come from elsewhere, are named in a warning and passed over. Several processes may write at
once. Where a recording is stored twice the row with more pieces counts, of equals the one that was written first.

    import pyarrow.parquet as pq
    row = pq.read_table("scores-….parquet").slice(0, 1).to_pylist()[0]   # row["logits"][piece][class]
"""

from block.score_store.index import check_folder
from block.score_store.records import Key, Scored
from block.score_store.store import ScoreStore

__all__ = ["Key", "ScoreStore", "Scored", "check_folder"]
