"""Air-gapped runs: recordings from a folder, label files out."""
