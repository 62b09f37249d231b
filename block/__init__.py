"""Label audio recordings with an Audio Spectrogram Transformer that runs in this process."""

__version__ = "0.1.0"
