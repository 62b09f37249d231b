"""The test collection: one file for each container, codec, tag, size and truncation that recordings come with.

The ffmpeg command is the oracle for the number of values in each file. Its answers are stored in
`ffmpeg_answers.json`; `python -m tests.decoding.ask_ffmpeg` asks it again.
"""

from __future__ import annotations

from functools import cache

from tests.decoding import container_cases, mp3_cases, ogg_cases, pcm_cases, refused_cases, wav_cases
from tests.decoding.case import Case


@cache
def make_collection() -> tuple[Case, ...]:
    """Return every case; the content of a case is made when it is first needed."""
    modules = (wav_cases, pcm_cases, mp3_cases, ogg_cases, container_cases, refused_cases)
    return tuple(case for module in modules for case in module.make_cases())
