"""Keep British spellings and a list of odd phrases out of everything people read in this repository.

Every text file is checked whole: code, names, strings, comments and file names. Phrases are also found in names
(`is_told`) and across line breaks. To use one of them where it is right, add the exact text to `ALLOWED`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from bisect import bisect
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache

import pytest

from tests.conftest import ROOT

# US spelling, as in Edge Impulse and in the libraries. Keys are regular expressions, found anywhere in a
# word in lower case.
SPELLINGS = {
    r"(cancel|channel|counsel|dial|equal|fuel|label|level|marvel|model|panel|signal|total|travel|tunnel)l(ed|ing|er)":
        "one l, as in labeled, canceled and modeling",
    r"(arm|behavi|col|endeav|fav|flav|harb|hon|hum|lab|neighb|od|rig|rum|vap|vig)our":
        "-or, as in color, neighbor and behavior",
    r"(anonym|apolog|author|capital|categor|central|character|critic|custom|emphas|equal|familiar|final|formal|general"
    r"|harmon|initial|item|local|maxim|memor|minim|mobil|modern|neutral|normal|optim|organ|parallel|penal|personal"
    r"|priorit|public|quant|random|real|recogn|regular|sanit|serial|special|stabil|standard|steril|summar|symbol"
    r"|synchron|synthes|token|total|trivial|util|vector|visual)is(e|ing|ation)": "-ize, as in normalize",
    r"(anal|paral|catal)ys(e(?!s)|ing)": "-yze, as in analyze",
    r"(calib|cent|fib|lit|lust|met|theat)re(s|d)?\b": "-er, as in center and meter",
    r"(def|lic|off|pret)ence": "-ense, as in license",
    r"\b(burn|dream|learn|spel|spoil)t\b": "-ed, as in learned",
    r"\b(after|down|in|out|to|up)wards\b": "no s, as in toward",
    r"\b(among|whil)st\b": "among, while",
    r"acknowledgement|judgement": "no e: acknowledgment, judgment",
    r"ageing\b": "aging",
    r"aluminium": "aluminum",
    r"artefact": "artifact",
    r"catalogue": "catalog",
    r"enquir": "inquir-",
    r"\b(enrol|fulfil|instil)\b|skilful|wilful": "two l's, as in fulfill and skillful",
    r"focuss(ed|ing)": "one s: focused",
    r"grey": "gray",
    r"\bmaths\b": "math",
    r"practis(e|ing)": "practice",
    r"programmes?\b": "program",
    r"sceptic": "skeptic",
}  # fmt: skip

# Phrases that this code base once had in many places and that no American engineer would use there, with what to
# write instead. Keys are regular expressions of whole words in lower case; a space also matches an underscore or a line
# break.
PHRASES = {
    "anybody": "anyone",
    "at hand": "available",
    "be had": "available: 'isn't available', 'can't be restored'",
    "by chance": "at random, or 'happens to'",
    "company|crew": "cluster, workers or executor",
    "come of|comes of|came of|become of|becomes of|became of": "results from, happened to",
    "errs": "is wrong",
    "everybody": "everyone",
    "expected such as": "'expected ids such as 1, 2, 5-9': name what was expected",
    "for want of": "'because … is missing', or without",
    "foresaw|foreseen": "unexpected",
    "go on|goes on|went on|(?<!else )going on|gone on": "continue, resume, keep",
    "held to": "checked against",
    r"hold (\w+ ){1,4}to|holds (\w+ ){1,4}to|holding (\w+ ){1,4}to": "compare … with, check … against",
    "in place of": "instead of",
    "in truth": "in practice",
    "in vain": "'without success', or say what didn't happen",
    r"(?<!\bword )(?<!\bwords )(?<![)] )in words": "as text, or say what the text says",
    r"(?<!there )(is|are) no (?!longer\b|more\b)": "is not a …, are not …",
    "(?<!there )(is|are) none": "say what it is not: 'is not a checkpoint'",
    "(is|are|was|were|be|been) told(?! apart)": "name who reports it: 'the message says', 'Raise … if'",
    "(is|are|was|were|be) said": "name who says it: 'Studio says', 'the log names'",
    "(is|are|was|were|be) let": "is allowed, is released",
    "it may be that": "may, might",
    "lest|thereof|therein|whomever": "an everyday word",
    "mend|mends|mended|mending": "fix, or 'succeeds on a retry'",
    "mid[- ]run": "during the run",
    "no longer listens": "has closed the connection, has stopped reading",
    "nobody": "no one",
    "of (your|one's) own": "your own …",
    "of its own accord": "by itself, automatically",
    "per cent": "percent",
    "passed over": "skipped, ignored",
    "put right|set right": "fix",
    "somebody": "someone",
    "speak for|speaks for|spoke for": "supports, is the evidence for",
    "stand behind|stands behind": "backs, proves; or follows",
    "(take|takes|took|taken) (it|them|this|that) for": "treat … as, mistake … for",
    r"there is not(?= *([.;:,)]|$))": "there is none, or name what is missing",
    "waited for": "'waits for …': name who waits",
    "what it is that": "what",
    "what is not there": "missing …",
    "whoever": "anyone who, or name who: 'the thread that …'",
    "(error|file|id|label|line|minute|problem|recording|sample|second|window|worker)[(]s[)]":
        "count(n, 'recording') of block/formatting.py: '1 recording', '2 recordings'",
}  # fmt: skip

# Exact texts in which the above is right, and why.
ALLOWED = {
    '"cancelled"': "a state in the local Studio's database",
    "cannot import name": "a message of Python",
    "cannot open shared object file": "a message of the dynamic linker",
    "shapes cannot be multiplied": "a message of PyTorch",
    "None": "Python's value, not the word",
    "as_labelled": "keys of evaluation.json",
    '"colour"': "a key in JSON that block 0.1.0 wrote",
    "harbour": "spoken in a recording of the demo, and the name of that text",
    "holds the key to": "a key to a project, not a comparison",
    "|nobody|the driver of the bus|our neighbour|": "spoken in recordings that the embedded checkpoint learned from",
    "Nobody listens more closely": "spoken in a recording of the demo",
}

# Files that are not checked, and why; * also matches slashes.
UNCHECKED = {
    "LICENSE": "a legal text",
    "LICENSES/*": "legal texts",
    "block/audioset_ontology.csv": "AudioSet's names",
    "block/local_studio/web/static/*": "to be rewritten",
    "block/local_studio/web/templates/*": "to be rewritten",
    "locked/*.txt": "names of packages",
    "models/ast-tiny-audioset/ATTRIBUTION.md": "titles and names of other people",
    "models/ast-tiny-audioset/config.json": "AudioSet's names",
    "tests/golden/expected/*": "recorded output",
    "tests/old_state/0.1.0/*": "files of an earlier version",
    "tests/test_vocabulary.py": "these lists",
}
BEFORE_TEXT = re.compile(r"^[\s#*]*([rfb]{0,2}[\"'])?")
AFTER_TEXT = re.compile(r"[\"']?\s*$")
PATTERNS = {f"p{number}": pattern for number, pattern in enumerate(PHRASES)}
ANY_PHRASE = re.compile(
    r"\b(?:" + "|".join(f"(?P<{name}>{pattern})" for name, pattern in PATTERNS.items()) + r")(?:\b|(?<=\W))"
)


@dataclass(frozen=True)
class Hit:
    """A word or phrase that is not to be used; line 0 is the name of the file."""

    path: str
    line: int
    found: str
    instead: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.found!r}; write {self.instead}"


def find(path: str, text: str) -> list[Hit]:
    """Return every spelling and phrase of the lists in the name and the text of a file, in order."""
    text = f"{path}\n{text}"
    for allowed in ALLOWED:
        text = text.replace(allowed, "\0" * len(allowed))
    starts, lines, length = [], [], 0
    for line in text.lower().splitlines():
        starts.append(length)
        lines.append(AFTER_TEXT.sub("", BEFORE_TEXT.sub("", line)).replace("_", " ").strip())
        length += len(lines[-1]) + 1
    joined = " ".join(lines)
    found = [(match, check_spelling(match.group())) for match in re.finditer(r"[^\W\d_]+", joined)]
    found += [(match, PHRASES[PATTERNS[match.lastgroup or ""]]) for match in ANY_PHRASE.finditer(joined)]
    hits = [Hit(path, bisect(starts, match.start()) - 1, match.group(), instead) for match, instead in found if instead]
    return sorted(hits, key=lambda hit: hit.line)


@cache
def check_spelling(word: str) -> str:
    """Return what to write instead of a British spelling; an empty string for any other word."""
    return next((instead for pattern, instead in SPELLINGS.items() if re.search(pattern, word)), "")


def checked_texts() -> Iterator[tuple[str, str]]:
    """Yield path and text of each file that git tracks or would add, except binary ones and those in `UNCHECKED`."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for path in sorted(set(filter(None, listed.split("\0")))):
        if (ROOT / path).is_file() and not any(fnmatchcase(path, pattern) for pattern in UNCHECKED):
            try:
                text = (ROOT / path).read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue
            if "\0" not in text:
                yield path, text


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("the list of files comes from git")
    return dict(checked_texts())


def test_the_repository_uses_us_spelling_and_plain_phrases(texts: dict[str, str]) -> None:
    assert {"Makefile", "SECURITY.md", "parameters.json", "block/cli.py", "docs/faults.md"} <= texts.keys()
    hits = [str(hit) for path, text in texts.items() for hit in find(path, text)]
    if hits:
        pytest.fail(f"{len(hits)} to reword:\n" + "\n".join(hits), pytrace=False)


def test_sentences_say_cant_which_names_can_not(texts: dict[str, str]) -> None:
    others = re.compile("|".join(map(re.escape, ALLOWED)))
    found = [path for path, text in texts.items() if re.search(r"\bcannot\b", others.sub("", text))]
    assert found == [], "write can't"


@pytest.mark.parametrize("allowed", ALLOWED)
def test_every_exception_is_still_needed(allowed: str, texts: dict[str, str]) -> None:
    assert any(allowed in text for text in texts.values()), f"{allowed!r} is used nowhere: delete it from ALLOWED"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("the unlabelled recordings", "unlabelled"),
        ("def normalise_rows():", "normalise"),
        ("Neighbours = 2", "neighbours"),
        ("analysed twice", "analysed"),
        ("def test_whoever_asks_is_answered():", "whoever"),
        ("# it is told\n# at once", "is told"),
        ('    f"the run was"\n    f" told"', "was told"),
        ('    "the run was "\n    "told"', "was told"),
        ("# The user is\n    # told it", "is told"),
        ("{path} is no file", "is no "),
        ("stopped mid-run", "mid-run"),
        ("IN_WORDS = {}", "in words"),
        ("1 recording(s)", "recording(s)"),
        ("and a smaller one there is not", "there is not"),
    ],
)
def test_what_the_lists_name_is_found(text: str, found: str) -> None:
    assert [hit.found for hit in find("x.py", text)] == [found]


@pytest.mark.parametrize(
    "text",
    [
        "the cancellation of four hours in your source",
        "two analyses and their emphasis",
        "if rate is None: total_length = totalLengthMs",
        "there is no file, and it is no longer read; None if there is none",
        '{"segments_as_labelled": 1, "state": "cancelled"}',
        "recommended, amended, told apart, with nothing else going on",
        "[word for word in words]; encode(argument) in words; format_duration(s)",
        "there is not a file",
        "read(self, path); len(items)",
    ],
)
def test_what_only_looks_like_it_is_not_found(text: str) -> None:
    assert find("x.py", text) == []


def test_a_hit_names_file_and_line_and_what_to_write() -> None:
    hits = [str(hit) for hit in find("block/nobody.py", "first\nthe colour\n# at\n# hand\n")]
    assert hits == [
        "block/nobody.py:0: 'nobody'; write no one",
        "block/nobody.py:2: 'colour'; write -or, as in color, neighbor and behavior",
        "block/nobody.py:3: 'at hand'; write available",
    ]
