"""The score store: logits on disk, from which labels can be decided again without the audio and the model.

A folder of Parquet files, `scores-….parquet`, that any Parquet reader reads. A row is a recording:

| column | type | |
|---|---|---|
| `content` | string | SHA-256 of the audio file's bytes, in hexadecimal |
| `values` | int64 | how many values the recording has |
| `rate_numerator`, `rate_denominator` | int64 | values per second, as a fraction |
| `mode` | string | how the logits were computed: `exact`, or `fast` and the path that some windows took |
| `pieces` | int32 | the length of `logits` |
| `piece_counts` | list of int32 | pieces of each window in order; 0: left out as silent |
| `levels_dbfs` | list of float32 | each window's RMS level in dB below full scale; −infinity for digital silence |
| `logits` | list of lists of float32 | for each piece, a logit for each class; the pieces of a window stand together |

The schema's metadata holds JSON: under `ast_score_store` the format's version and what the logits depend on (the
fields of `Key`), under `class_names` the names of the classes in the order of the logits. A folder may hold several
keys, a file only one, which its head names.

A file appears whole or not at all: it is written under a name that ends in `.tmp`, then renamed. Damaged and foreign
files are named in a warning and ignored. Several processes may write at once. If a recording is stored twice, the row
with more pieces counts, or else the one that was written first.

    import pyarrow.parquet as pq
    row = pq.read_table("scores-….parquet").slice(0, 1).to_pylist()[0]   # row["logits"][piece][class]
"""

from block.score_store.index import check_folder
from block.score_store.records import Key, Scored
from block.score_store.store import ScoreStore

__all__ = ["Key", "ScoreStore", "Scored", "check_folder"]
