"""TLS: an untrusted certificate ends the call, whatever the environment says."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from block.edge_impulse.client import StudioClient
from block.edge_impulse.errors import ConnectionFailed
from block.edge_impulse.retries import RetryPolicy, Timeouts
from tests.conftest import EMBEDDED, ROOT
from tests.runtime.dripping import DRIPS, dripping
from tests.security.hostile import KEY, SECRETS, TOKEN, run_python
from tests.security.web import CALL_STUDIO, NAME, RESOLVING, serve

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make certificates")

FETCH = (
    RESOLVING
    + """
from pathlib import Path
from block.model_store.fetch import FetchTarget, fetch
from block.model_store.store import ModelStore
import types
import huggingface_hub.utils._http

huggingface_hub.utils._http.time = types.SimpleNamespace(sleep=lambda seconds: None)
try:
    target = FetchTarget("mine", *sys.argv[2:4])
    fetch(ModelStore(Path("store"), ()), target, sys.argv[1] or None)
except Exception as error:
    print(type(error).__name__, error)
"""
)
# Variables that turn verification off in requests, curl, Python, git, node or their older versions.
OFF = {
    "CURL_CA_BUNDLE": "", "REQUESTS_CA_BUNDLE": "", "SSL_CERT_FILE": "", "SSL_CERT_DIR": "",
    "PYTHONHTTPSVERIFY": "0", "GIT_SSL_NO_VERIFY": "1", "NODE_TLS_REJECT_UNAUTHORIZED": "0", "SSL_VERIFY": "false",
    "HF_HUB_DISABLE_SSL_VERIFY": "1", "HF_HUB_DISABLE_SSL_VERIFICATION": "1", "CURL_INSECURE": "1",
    "REQUESTS_VERIFY": "0", "HTTPX_VERIFY": "0", "PIP_TRUSTED_HOST": NAME, "VERIFY_SSL": "0",
}  # fmt: skip


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a self-signed certificate for NAME; both.pem has the certificate and its private key."""
    folder = tmp_path_factory.mktemp("certificate")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}",
         "-addext", "keyUsage=digitalSignature,keyCertSign",
         "-keyout", "key.pem", "-out", "certificate.pem"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    (folder / "both.pem").write_text((folder / "certificate.pem").read_text() + (folder / "key.pem").read_text())
    return folder


@pytest.mark.parametrize("environment", [{}, OFF, {"CURL_CA_BUNDLE": ""}], ids=["nothing", "all", "requests' own"])
def test_an_untrusted_certificate_is_refused_before_any_request(
    certificate: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    with serve(certificate) as (port, asked):
        done = run_python(["-c", CALL_STUDIO, f"https://{NAME}:{port}", KEY], tmp_path, **environment)
    assert "ConnectionFailed" in done.stdout, done.stdout + done.stderr
    assert "the server's certificate could not be verified" in done.stdout
    assert asked == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_certificates_are_verified_on_loopback_too(certificate: Path, tmp_path: Path, host: str) -> None:
    with serve(certificate) as (port, asked):
        done = run_python(["-c", CALL_STUDIO, f"https://{host}:{port}", KEY], tmp_path)
    assert "certificate could not be verified" in done.stdout, done.stdout + done.stderr
    assert asked == []


@pytest.mark.parametrize("environment", [{}, OFF], ids=["nothing", "all"])
def test_no_checkpoint_file_and_no_token_goes_over_an_untrusted_connection(
    certificate: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    with serve(certificate) as (port, asked):
        place = f"https://{NAME}:{port}"
        web = run_python(["-c", FETCH, f"{place}/folder"], tmp_path, HF_TOKEN=TOKEN, **environment)
        hub = run_python(
            ["-c", FETCH, "", "someone/small", "0" * 40], tmp_path, HF_TOKEN=TOKEN, HF_ENDPOINT=place, **environment
        )
    assert "certificate could not be verified" in web.stdout, web.stdout + web.stderr
    assert "CheckpointError" in hub.stdout, hub.stdout + hub.stderr
    assert "can't be reached" in hub.stdout
    assert asked == []


def test_a_ca_bundle_set_in_the_environment_is_honored_and_host_names_are_checked(
    certificate: Path, tmp_path: Path
) -> None:
    with serve(certificate) as (port, asked):
        bundle = {"REQUESTS_CA_BUNDLE": str(certificate / "certificate.pem")}
        right = run_python(["-c", CALL_STUDIO, f"https://{NAME}:{port}", KEY], tmp_path, **bundle)
        assert "'projects': []" in right.stdout, right.stdout + right.stderr
        assert [headers["x-api-key"] for headers in asked] == [KEY]
        script = CALL_STUDIO.replace("studio.test", "other.test")
        wrong = run_python(["-c", script, f"https://other.test:{port}", KEY], tmp_path, **bundle)
    assert "certificate could not be verified" in wrong.stdout, wrong.stdout + wrong.stderr
    assert len(asked) == 1


def test_a_redirect_from_https_to_http_never_carries_the_key(certificate: Path, tmp_path: Path) -> None:
    bundle = {
        "REQUESTS_CA_BUNDLE": str(certificate / "certificate.pem"),
        "SSL_CERT_FILE": str(certificate / "certificate.pem"),
    }
    with serve(None) as (port, unencrypted):
        with serve(certificate, f"http://{NAME}:{port}/") as (secure, asked):
            done = run_python(["-c", CALL_STUDIO, f"https://{NAME}:{secure}", KEY], tmp_path, **bundle)
            assert "Redirected" in done.stdout, done.stdout + done.stderr
            hub = ["-c", FETCH, "", "someone/small", "0" * 40]
            run_python(hub, tmp_path, HF_TOKEN=TOKEN, HF_ENDPOINT=f"https://{NAME}:{secure}", **bundle)
            assert any("x-api-key" in headers for headers in asked)
    assert not [headers for headers in unencrypted if "x-api-key" in headers or "Authorization" in headers]


def test_no_switch_in_the_block_turns_verification_off() -> None:
    sources = {path: path.read_text() for path in (ROOT / "block").rglob("*.py")}
    forbidden = re.compile(
        r"verify\s*=\s*False|disable_warnings|CERT_NONE|check_hostname|_create_unverified|\.verify\s*="
    )
    assert len(sources) > 100
    assert {path.name: forbidden.findall(text) for path, text in sources.items() if forbidden.search(text)} == {}


def test_sending_the_key_unencrypted_gives_a_warning(tmp_path: Path) -> None:
    (tmp_path / "ids.json").write_text("[1]")
    (tmp_path / "action.py").write_text(RESOLVING + "from tests.stub.action import main\nmain()\n")
    with serve(None) as (port, _):
        action = ["action.py", "--data-ids-file", "ids.json", "--model", EMBEDDED]
        exposed = run_python(action, tmp_path, **SECRETS, EI_API_ENDPOINT=f"http://{NAME}:{port}")
        local = run_python(action, tmp_path, **SECRETS, EI_API_ENDPOINT=f"http://127.0.0.1:{port}")
    warning = "warning: EI_API_ENDPOINT isn't https://"
    assert exposed.stdout.count(warning) == 1, exposed.stdout + exposed.stderr
    assert warning not in local.stdout + local.stderr


@pytest.mark.parametrize("drip", ["header", "body", "chunk trailers"])
def test_an_answer_over_tls_that_never_ends_is_given_up(
    drip: str, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_up = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *rest: look_up("127.0.0.1", *rest))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate / "certificate.pem"))
    with dripping(DRIPS[drip], certificate=certificate / "both.pem") as url:
        client = StudioClient(url.replace("127.0.0.1", NAME), KEY, RetryPolicy(tries=1), timeouts=Timeouts(5, 0.2))
        with pytest.raises(ConnectionFailed, match="no complete answer within|no answer within|stalled: "):
            client.get_json("/api/x")
