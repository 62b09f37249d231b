"""The score store: logits on disk, for deciding labels again without the audio or the model.

A folder of Parquet files, `scores-….parquet`, for any Parquet reader. Each row is a recording:

| column | type | |
|---|---|---|
| `content` | string | SHA-256 of the audio file's bytes, in hexadecimal |
| `values` | int64 | the number of values in the recording |
| `rate_numerator`, `rate_denominator` | int64 | values per second, as a fraction |
| `mode` | string | how the logits were computed: `exact`, or `fast` and the fast path of some windows |
| `pieces` | int32 | the number of chunks: the length of `logits` |
| `piece_counts` | list of int32 | the number of chunks of each window, in order; 0: skipped as silent |
| `levels_dbfs` | list of float32 | each window's RMS level in dB below full scale; −infinity for digital silence |
| `cuts` | list of int64 | with `--boundaries sound`: the values where windows meet |
| `softmax_errors`, `sigmoid_errors` | lists of float32 | fast mode: how far off each window's scores may be; 0: exact |
| `embedded` | int32 | with `--keep-embeddings`: the number of chunks with embeddings |
| `logits` | list of lists of float32 | for each chunk, one logit per class; the chunks of a window are adjacent |
| `embeddings` | list of lists of float16 | what the classifier turned into the logits; NaN: unknown |

The schema's metadata is JSON: `ast_score_store` has the format's version and what the logits depend on (the fields of
`Key`), `class_names` the names of the classes in the order of the logits. A folder may contain several keys, a file
only one. Scores are used again only with the same key: the same weights, settings and scores version. If a folder has
scores of the same windows and weights with other settings or of another scores version, one line says so.

A file appears whole or not at all: it is written under a name that ends in `.tmp`, then renamed. Damaged and foreign
files are ignored with a warning. Several processes may write at once. If a recording is stored twice, the row with more
chunks counts, then the one with more embeddings, then the one with more exact windows, then the one with more known
errors, or else the one that was written first. Block 0.1.0 stored no errors: those of its fast scores are unknown.

    import pyarrow.parquet as pq
    row = pq.read_table("scores-….parquet").slice(0, 1).to_pylist()[0]   # row["logits"][chunk][class]
"""

from block.score_store.index import check_folder
from block.score_store.records import Key, Scored
from block.score_store.store import ScoreStore

__all__ = ["Key", "ScoreStore", "Scored", "check_folder"]
