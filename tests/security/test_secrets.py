"""The key and the tokens appear only in the environment and in the one header that they are for."""

from __future__ import annotations

import ast
import io
import json
import os
import pty
import resource
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from fcntl import ioctl
from pathlib import Path

import pytest

from block.commands.options import parse
from block.runtime.redact import RedactedStream, find_secrets, redact_output
from tests.conftest import EMBEDDED, ROOT
from tests.security.hostile import KEY, SECRETS, TOKEN, Reply, environment, leaks, run_python, sample, studio

REFUSAL = {"success": False, "error": f"no: {KEY}"}


def quote_key(method: str, path: str) -> Reply | None:
    """Quote the key, in a different place for each recording."""
    if "/raw-data/" not in path:
        return None
    number, _, rest = path.partition("/raw-data/")[2].partition("?")[0].partition("/")
    about = not rest and method == "GET"
    answers: dict[str, Callable[[], Reply | None]] = {
        "1": lambda: Reply(body={"sample": sample(filename=KEY, label=KEY, metadata={KEY: KEY})}) if about else None,
        "2": lambda: Reply(400, REFUSAL),
        "3": lambda: Reply(302, headers={"Location": f"https://{KEY}.example/{KEY}"}),
        "4": lambda: Reply(200, json.dumps({"success": True, KEY: 1}).encode()) if rest == "wav" else None,
        "5": lambda: Reply(body={"sample": sample(processingError=True, processingErrorString=KEY)}) if about else None,
        "6": lambda: Reply(429, REFUSAL, {"Retry-After": "100000"}),
        "7": lambda: Reply(400, KEY.encode(), reason=KEY),
        "8": lambda: Reply(400, REFUSAL) if method == "POST" else None,
        "9": lambda: Reply(body={"sample": sample(filename="n" * 60 + KEY)}) if about else None,
        "10": lambda: Reply(301, headers={"Location": f"http://[{KEY}"}),
        "11": lambda: Reply(body={"sample": sample(filename=f"\x1b]0;{KEY}\x07\r\n")}) if about else None,
        "12": lambda: Reply(body={"sample": sample(chartType="image", filename=KEY)}) if about else None,
        "13": lambda: (
            Reply(302, headers={"Location": f"/api/{KEY}/../{KEY}"}) if KEY not in path else Reply(404, REFUSAL)
        ),
        "14": lambda: Reply(200, f"RIFF{KEY}WAVEfmt {KEY}".encode()) if rest == "wav" else None,
    }
    return answers[number]()


@pytest.mark.parametrize("more", [(), ("--dry-run",), ("--propose-actions", "7")], ids=["plain", "dry run", "preview"])
def test_no_output_and_no_file_has_the_key_even_if_the_server_quotes_it_everywhere(
    tmp_path: Path, more: tuple[str, ...]
) -> None:
    (tmp_path / "ids.json").write_text(json.dumps(list(range(1, 15))))
    with studio(quote_key) as server:
        done = run_python(
            ["-m", "tests.stub.action", "--data-ids-file", "ids.json", "--model", EMBEDDED, "--verbose",
             "--failed-ids-file", "failed.json", "--journal", "journal.jsonl", *more],
            tmp_path, **SECRETS, EI_API_ENDPOINT=server.url,
        )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "1 <key>" in done.stdout or "dry run" in done.stdout, (
        "the log doesn't show the name, so this test proves nothing"
    )
    assert "9 nnn" in done.stdout, "the log doesn't show the name that is cut"
    assert leaks(done.stdout + done.stderr) == []
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "ids.json"]
    assert {"failed.json"} <= {path.name for path in files}
    assert {path.name: leaks(path.read_bytes()) for path in files} == {path.name: [] for path in files}
    assert [leaks(path.name) for path in files] == [[] for _ in files]
    for method, path, headers, body in server.asked:
        assert headers["x-api-key"] == KEY
        others = {name: value for name, value in headers.items() if name != "x-api-key"}
        assert leaks(json.dumps(others)) == [], (method, path)
        assert TOKEN.encode() not in body


@pytest.mark.slow
def test_the_score_store_and_the_ids_files_of_a_real_run_hold_no_key(tmp_path: Path, checkpoint_folder: Path) -> None:
    pytest.importorskip("pyarrow")
    (tmp_path / "ids.json").write_text("[1, 9, 11, 2]")
    with studio(quote_key) as server:
        done = run_python(
            [ROOT / "transform.py", "--data-ids-file", "ids.json", "--model", checkpoint_folder, "--verbose",
             "--failed-ids-file", "failed.json", "--score-store", "scores", "--mode", "fast",
             "--fast-ids-file", "fast.json", "--min-agreement", "1"],
            tmp_path, **SECRETS, EI_API_ENDPOINT=server.url,
        )  # fmt: skip
    assert "3 labeled, 1 failed" in done.stdout, done.stdout + done.stderr
    assert leaks(done.stdout + done.stderr) == []
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "ids.json"]
    assert any(path.suffix == ".parquet" for path in files)
    assert {path.name: leaks(path.read_bytes()) for path in files} == {path.name: [] for path in files}


def test_metadata_that_contains_the_key_is_written_back_unchanged(tmp_path: Path) -> None:
    (tmp_path / "ids.json").write_text("[1]")
    with studio(quote_key) as server:
        done = run_python(
            ["-m", "tests.stub.action", "--data-ids-file", "ids.json", "--model", EMBEDDED],
            tmp_path, **SECRETS, EI_API_ENDPOINT=server.url,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    written = [json.loads(body) for method, path, _, body in server.asked if path.endswith("/metadata")]
    assert [one["metadata"][KEY] for one in written] == [KEY, KEY]
    assert leaks(done.stdout + done.stderr) == []


@pytest.mark.parametrize("status", [200, 401, 403])
def test_a_key_that_is_refused_at_the_start_is_not_quoted(tmp_path: Path, status: int) -> None:
    (tmp_path / "ids.json").write_text("[1]")
    with studio(lambda method, path: Reply(status, REFUSAL)) as server:
        done = run_python(
            ["-m", "tests.stub.action", "--data-ids-file", "ids.json", "--model", EMBEDDED, "--verbose"],
            tmp_path, **SECRETS, EI_API_ENDPOINT=server.url,
        )  # fmt: skip
    assert done.returncode == 2
    assert "no: <key>" in done.stderr
    assert leaks(done.stdout + done.stderr) == []


TRACEBACK = """
import sys, threading, warnings
from block import cli

def fails(argv):
    warnings.warn(sys.argv[1])
    thread = threading.Thread(target=lambda: 1 / 0 if not sys.argv[1] else {}[sys.argv[1]])
    thread.start()
    thread.join()
    try:
        raise ValueError(sys.argv[1])
    except ValueError as error:
        raise RuntimeError(f"{[sys.argv[1]]} {{sys.argv[1]}}") from error

cli.exit_with(fails, ["--verbose"] if sys.argv[2:] else [], "test")
"""


@pytest.mark.parametrize("secret", list(SECRETS.values()))
@pytest.mark.parametrize("verbose", [True, False])
def test_tracebacks_of_unexpected_errors_hold_no_secret(tmp_path: Path, secret: str, verbose: bool) -> None:
    script = tmp_path / "script.py"
    script.write_text(TRACEBACK)
    done = run_python([script, secret, *["verbose"] * verbose], tmp_path, **SECRETS)
    assert "<key>" in done.stderr
    assert ("ValueError: <key>" in done.stderr) == verbose
    assert leaks(done.stdout + done.stderr) == []


def test_unknown_options_are_named_without_their_values() -> None:
    said: list[str] = []
    parse(["--data-ids-file", "x", "--ei-api-key", KEY, f"--other-key={TOKEN}"], warn=said.append)
    assert "--ei-api-key" in " ".join(said)
    assert "--other-key" in " ".join(said)
    assert leaks(" ".join(said)) == []


def test_the_key_is_never_read_from_an_argument() -> None:
    names = {action for path in (ROOT / "block").rglob("*.py") for action in options_in(path)}
    assert {"--data-ids-file", "--model", "--from"} <= names | {"--data-ids-file"}, "the search finds no options"
    keys = sorted(name for name in names if "key" in name or "token" in name or "password" in name)
    assert keys == ["--key"], "only the local Studio may get its key as an option: the key of its own project"


def options_in(path: Path) -> list[str]:
    """Return the strings in a module that look like options."""
    words = [node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)]
    return [word for word in words if isinstance(word, str) and word.startswith("--") and " " not in word]


def test_other_processes_cannot_see_the_key_of_a_run_and_it_leaves_no_core_dump(tmp_path: Path) -> None:
    (tmp_path / "ids.json").write_text("[1]")
    seen: dict[str, bytes] = {}
    running: list[subprocess.Popen[str]] = []

    def look(method: str, path: str) -> None:
        process = Path("/proc") / str(running[0].pid)
        for name in ("cmdline", "comm", "limits", "coredump_filter"):
            seen[name] = (process / name).read_bytes()

    def allow_core_dumps() -> None:
        resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
        Path("/proc/self/coredump_filter").write_text("3")

    with studio(look) as server:
        running.append(subprocess.Popen(
            [sys.executable, "-m", "tests.stub.action", "--data-ids-file", "ids.json", "--model", EMBEDDED],
            cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=allow_core_dumps,
            env=environment(**SECRETS, EI_API_ENDPOINT=server.url),
        ))  # fmt: skip
        _, err = running[0].communicate(timeout=120)
    assert running[0].returncode == 0, err
    assert b"tests.stub.action" in seen["cmdline"]
    assert leaks(seen["cmdline"] + seen["comm"]) == []
    core = next(line for line in seen["limits"].decode().splitlines() if line.startswith("Max core file size"))
    assert core.split()[4:6] == ["0", "0"]
    assert int(seen["coredump_filter"], 16) == 0


def test_every_command_first_hides_secrets_and_disables_core_dumps(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import resource, sys\nfrom block import cli\nsys.argv = ['x', 'labels', '--model', sys.argv[1]]\n"
        "try:\n    cli.main_command()\nexcept SystemExit:\n"
        "    print(resource.getrlimit(resource.RLIMIT_CORE), type(sys.stdout).__name__, type(sys.stderr).__name__)\n"
    )
    done = run_python([script, EMBEDDED], tmp_path, **SECRETS)
    assert done.stdout.splitlines()[-1] == "(0, 0) RedactedStream RedactedStream", done.stderr


def test_a_stream_that_hides_secrets_otherwise_acts_like_the_original() -> None:
    written = io.StringIO()
    stream = RedactedStream(written, [KEY])
    assert stream.write(f"a {KEY}\n") == len(f"a {KEY}\n")
    stream.writelines([KEY[:8], " ", KEY[:7], "\n", KEY.lower() * 2, json.dumps({"k": KEY})])
    print("ä ☃", file=stream, flush=True)
    assert written.getvalue() == f'a <key>\n<key> {KEY[:7]}\n<key><key>{{"k": "<key>"}}ä ☃\n'
    assert stream.isatty() is False
    with pytest.raises(io.UnsupportedOperation):
        stream.fileno()


@pytest.mark.parametrize("secret", ["ei_\"quo\\ted'both", "ei_a+b/c=d e", "ei_.*(?:[x", "ei_" + "y" * 3000])
def test_secrets_with_odd_characters_are_found_however_they_are_quoted(secret: str) -> None:
    from urllib.parse import quote

    written = io.StringIO()
    stream = RedactedStream(written, [secret])
    stream.write(f"{secret} {secret!r} {json.dumps(secret)} {quote(secret)} {quote(secret, safe='')}")
    assert written.getvalue().replace("<key>", "").strip(" '\"").replace("'", "").replace('"', "").split() == []


def test_which_values_are_secrets() -> None:
    found = find_secrets({
        "EI_PROJECT_API_KEY": f" {KEY}\n", "EI_API_KEY": "short", "EI_PROJECT_ID": "1234567890", "HF_TOKEN": TOKEN,
        "HUGGING_FACE_HUB_TOKEN": "hf_older-name", "EI_API_ENDPOINT": "https://studio.example/v1",
        "HF_HOME": "/home/x/huggingface",
        "HTTPS_PROXY": "http://me:pass%40word@proxy:3128", "http_proxy": "http://[", "MONKEY": "bananas-and-more",
    })  # fmt: skip
    assert found == {KEY, TOKEN, "hf_older-name", "pass%40word", "pass@word"}


def test_without_secrets_the_streams_are_left_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    redact_output({"EI_API_KEY": "short"})
    assert sys.stdout is out
    redact_output(SECRETS)
    redact_output(SECRETS)
    print(KEY)
    print(KEY, file=sys.stderr)
    assert (out.getvalue(), err.getvalue()) == ("<key>\n", "<key>\n")


BAR = """
import os, sys
from block.runtime.redact import redact_output
redact_output(os.environ)
from block.labeling.progress import Progress

progress = Progress(2, verbose=True)
progress.report_skipped(1, os.environ["EI_API_KEY"])
progress.report_skipped(2, "why not")
progress._bar.close()
print(sys.stdout.isatty(), sys.stdout.encoding, sys.stdout.fileno())
"""


def test_the_progress_bar_is_still_drawn_on_a_terminal(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(BAR)
    here, there = pty.openpty()
    ioctl(there, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    running = subprocess.Popen([sys.executable, script], stdout=there, stderr=there, env=environment(**SECRETS))
    os.close(there)
    out = b""
    while True:
        try:
            out += os.read(here, 4096)
        except OSError:
            break
    os.close(here)
    assert running.wait(60) == 0, out
    text = out.decode()
    assert "0 %|" in text
    assert "1 skipped: <key>" in text
    assert "True utf-8 1" in text
    assert leaks(text) == []
