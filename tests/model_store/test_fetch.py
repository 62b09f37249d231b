from __future__ import annotations

import json
import shutil

import pytest

from block.model.checkpoint import CONFIG, FILES, PREPROCESSOR, WEIGHTS, CheckpointError, find_checkpoint
from block.model_store.catalog import ExpectedFile, KnownCheckpoint
from block.model_store.fetch import FetchTarget, fetch, read_target
from block.model_store.staging import open_staging
from block.model_store.store import ModelStore
from tests.conftest import NAMES
from tests.model_store.conftest import REPOSITORY
from tests.model_store.standin import COMMIT, StandIn, served

OTHER_COMMIT = "f" * 40


def fetch_into(
    store: ModelStore, text: str = "small", place: str | None = None, force: bool = False, name: str | None = None
) -> list[str]:
    lines: list[str] = []
    fetch(store, read_target(store, text, name), place, force, lines.append)
    return lines


def is_empty(store: ModelStore, name: str = "small") -> bool:
    return not store.path(name).exists()


def leftovers(store: ModelStore) -> list[str]:
    return sorted(path.name for path in (store.folder / ".store").glob("*.partial"))


def test_only_the_three_files_are_fetched_at_the_pinned_commit(
    store: ModelStore, hub: StandIn, contents: dict[str, bytes]
) -> None:
    hub.files[f"/{REPOSITORY}/README.md"] = b"a card"
    hub.files[f"/{REPOSITORY}/pytorch_model.bin"] = b"a pickle"
    fetch_into(store)
    folder = store.path("small")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == contents
    assert find_checkpoint("small", store.folder).class_names == NAMES
    assert {one.path for one in hub.asked} == {f"/{REPOSITORY}/resolve/{COMMIT}/{name}" for name in FILES}
    assert leftovers(store) == []


def test_a_valid_checkpoint_is_not_fetched_again_unless_forced(store: ModelStore, hub: StandIn) -> None:
    fetch_into(store)
    count = len(hub.asked)
    assert fetch_into(store) == ["small is already there and valid; nothing to do (--force fetches it again)"]
    assert len(hub.asked) == count
    fetch_into(store, force=True)
    assert len(hub.asked) > count
    assert find_checkpoint("small", store.folder).class_names == NAMES


def test_a_damaged_checkpoint_is_fetched_again_and_the_damage_named(store: ModelStore, hub: StandIn) -> None:
    fetch_into(store)
    weights = store.path("small") / WEIGHTS
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    lines = fetch_into(store)
    assert lines[0].startswith("small is already there but invalid: model.safetensors has SHA-256 ")
    assert find_checkpoint("small", store.folder).sha256() in lines[4]


def test_other_files_in_the_folder_are_never_lost(store: ModelStore, hub: StandIn) -> None:
    folder = store.path("small")
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(CheckpointError, match=r"also contains notes\.txt, which would be lost"):
        fetch_into(store)
    assert (folder / "notes.txt").read_text() == "mine"
    (folder / "notes.txt").unlink()
    folder.rmdir()
    folder.symlink_to(store.folder)
    with pytest.raises(CheckpointError, match="is a link"):
        fetch_into(store, force=True)


def test_a_file_with_a_wrong_digest_is_refused_and_deleted(
    store: ModelStore, hub: StandIn, contents: dict[str, bytes]
) -> None:
    known = ExpectedFile(WEIGHTS, "0" * 64, len(contents[WEIGHTS]))
    strict = ModelStore(store.folder, (KnownCheckpoint("small", REPOSITORY, COMMIT, (known,)),))
    with pytest.raises(
        CheckpointError, match=r"model\.safetensors in http.*/small-ast@.* has SHA-256 .*; expected 0000"
    ):
        fetch_into(strict)
    hub.states_sha256 = False  # so that the digest is not known before the transfer
    with pytest.raises(
        CheckpointError, match="the fetched file is wrong and was deleted: model.safetensors has SHA-256"
    ):
        fetch_into(strict)
    assert is_empty(store)
    assert not list(store.folder.rglob("model.safetensors*"))


def test_a_wrong_size_is_refused_before_the_transfer(store: ModelStore, hub: StandIn) -> None:
    strict = ModelStore(
        store.folder, (KnownCheckpoint("small", REPOSITORY, COMMIT, (ExpectedFile(WEIGHTS, "0" * 64, 7),)),)
    )
    hub.states_sha256 = False
    with pytest.raises(CheckpointError, match=r"model\.safetensors has \d+ bytes; expected 7"):
        fetch_into(strict)
    assert hub.sent(WEIGHTS) == 0


def test_digests_are_recorded_at_the_first_fetch_and_checked_afterward(store: ModelStore, hub: StandIn) -> None:
    assert sum("(recorded)" in line for line in fetch_into(store)) == 3
    config = json.loads(hub.files[f"/{REPOSITORY}/{CONFIG}"])
    hub.files[f"/{REPOSITORY}/{CONFIG}"] = json.dumps({**config, "transformers_version": "0"}).encode()
    shutil.rmtree(store.path("small"))
    with pytest.raises(CheckpointError, match=r"config\.json has \d+ bytes; expected \d+"):
        fetch_into(store)
    assert is_empty(store)


def test_another_repository_is_fetched_at_the_commit_of_its_branch(store: ModelStore, hub: StandIn) -> None:
    plain = ModelStore(store.folder, ())
    fetch_into(plain, REPOSITORY)
    record = plain.read_record("small-ast")
    assert record is not None
    assert (record.repository, record.revision) == (REPOSITORY, COMMIT)
    # The branch moves on, but the recorded commit is still fetched, by either name.
    hub.revisions |= {"main": OTHER_COMMIT, OTHER_COMMIT: OTHER_COMMIT}
    for text in (REPOSITORY, "small-ast"):
        assert read_target(plain, text) == FetchTarget("small-ast", REPOSITORY, COMMIT)
        fetch_into(plain, text, force=True)
    for force in (False, True):
        with pytest.raises(CheckpointError, match=f"recorded at commit {COMMIT}.*fetch it under another name"):
            fetch_into(plain, f"{REPOSITORY}@main", force=force)
    fetch_into(plain, f"{REPOSITORY}@main", name="newer")
    assert find_checkpoint("newer", plain.folder).class_names == NAMES


def test_a_record_of_a_previously_pinned_revision_is_ignored(store: ModelStore, hub: StandIn) -> None:
    fetch_into(store)
    hub.revisions[OTHER_COMMIT] = OTHER_COMMIT
    config = json.loads(hub.files[f"/{REPOSITORY}/{CONFIG}"])
    hub.files[f"/{REPOSITORY}/{CONFIG}"] = json.dumps({**config, "transformers_version": "0"}).encode()
    later = ModelStore(store.folder, (KnownCheckpoint("small", REPOSITORY, OTHER_COMMIT),))
    fetch_into(later, force=True)
    record = later.read_record("small")
    assert record is not None
    assert record.revision == OTHER_COMMIT


def test_a_known_name_is_never_used_for_another_checkpoint(store: ModelStore) -> None:
    assert read_target(store, REPOSITORY) == FetchTarget("small", REPOSITORY, COMMIT)
    assert read_target(store, f"{REPOSITORY}@{COMMIT}") == FetchTarget("small", REPOSITORY, COMMIT)
    with pytest.raises(CheckpointError, match="small is the name of another checkpoint, not of else/small; choose a"):
        read_target(store, "else/small")
    assert read_target(store, "else/small", "mine") == FetchTarget("mine", "else/small", "main")


@pytest.mark.parametrize(
    "text", ["../small", "a/b/c", "a//b", "/etc", "owner/repo@", "-x/y", "..", ".hidden", "a b", "é", "small@v1"]
)
def test_invalid_names_and_repositories_are_refused(store: ModelStore, text: str) -> None:
    with pytest.raises(CheckpointError, match="expected"):
        fetch(store, read_target(store, text))
    with pytest.raises(CheckpointError, match="is not a valid checkpoint name"):
        read_target(store, "owner/repo", "../../etc")


def test_the_error_for_an_unknown_name_says_how_to_give_its_source(store: ModelStore) -> None:
    with pytest.raises(CheckpointError, match=r"the source of mine is unknown; use OWNER/REPO or --from"):
        fetch_into(store, "mine")


def test_the_embedded_checkpoint_is_not_fetched(store: ModelStore, contents: dict[str, bytes]) -> None:
    with pytest.raises(CheckpointError, match="tiny is kept in git, not fetched"):
        fetch_into(store, "tiny")
    store.path("tiny").mkdir()
    for name, content in contents.items():
        (store.path("tiny") / name).write_bytes(content)
    assert "nothing to do" in fetch_into(store, "tiny")[0]


def test_a_missing_repository_revision_or_file_has_its_own_error(store: ModelStore, hub: StandIn) -> None:
    plain = ModelStore(store.folder, ())
    with pytest.raises(CheckpointError, match=f"no repository no/such at {hub.url}; if it is private, set HF_TOKEN"):
        fetch_into(plain, "no/such")
    with pytest.raises(CheckpointError, match="has no revision 'v9'"):
        fetch_into(plain, f"{REPOSITORY}@v9")
    del hub.files[f"/{REPOSITORY}/{PREPROCESSOR}"]
    with pytest.raises(CheckpointError, match=r"has no file preprocessor_config\.json at revision 0123"):
        fetch_into(plain, REPOSITORY)
    assert plain.list_names() == []


def test_a_repository_with_only_pickled_weights_is_refused_with_the_reason(store: ModelStore, hub: StandIn) -> None:
    hub.files[f"/{REPOSITORY}/pytorch_model.bin"] = hub.files.pop(f"/{REPOSITORY}/{WEIGHTS}")
    with pytest.raises(CheckpointError, match=r"has only pickled weights \(pytorch_model\.bin\), which are never"):
        fetch_into(store)
    assert not hub.got("pytorch_model.bin")


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        (CONFIG, {"model_type": "vit"}, "a model of type 'vit'"),
        (CONFIG, {"id2label": {}}, "config.json: it has no class names"),
        (CONFIG, {"max_length": 512}, "128 mel bins × 1024 frames; the model expects 128 × 512"),
        (PREPROCESSOR, {"num_mel_bins": 64}, "64 mel bins × 1024 frames; the model expects 128 × 1024"),
        (
            PREPROCESSOR,
            {"sampling_rate": 8000},
            "preprocessor_config.json: sampling_rate is 8000; expected 16000",
        ),
    ],
)
def test_an_unusable_checkpoint_is_refused_before_its_weights_are_downloaded(
    store: ModelStore, hub: StandIn, file: str, change: dict[str, object], message: str
) -> None:
    content = json.loads(hub.files[f"/{REPOSITORY}/{file}"])
    hub.files[f"/{REPOSITORY}/{file}"] = json.dumps({**content, **change}).encode()
    with pytest.raises(CheckpointError, match=f"are unusable and were deleted: .*{message}"):
        fetch_into(store)
    assert hub.sent(WEIGHTS) == 0
    assert is_empty(store)
    assert store.read_record("small") is None


def test_weights_that_are_truncated_on_the_server_are_refused(store: ModelStore, hub: StandIn) -> None:
    hub.files[f"/{REPOSITORY}/{WEIGHTS}"] = hub.files[f"/{REPOSITORY}/{WEIGHTS}"][:-1]
    with pytest.raises(
        CheckpointError,
        match=r"are unusable and were deleted: model\.safetensors is damaged .* it has",
    ):
        fetch_into(store)
    assert is_empty(store)
    assert store.read_record("small") is None


@pytest.mark.parametrize("header", ["names_commits", "etags"])
def test_a_mirror_without_a_commit_or_entity_tag_header_is_refused(
    store: ModelStore, hub: StandIn, header: str
) -> None:
    setattr(hub, header, False)
    with pytest.raises(
        CheckpointError,
        match=f"{hub.url} sent no X-Repo-Commit or no ETag .* '{COMMIT}'; .* check HF_ENDPOINT, or use --from",
    ):
        fetch_into(store)
    with pytest.raises(CheckpointError, match="header for config.json at 'main'"):
        fetch_into(ModelStore(store.folder, ()), REPOSITORY)
    assert hub.got(WEIGHTS) == []
    assert is_empty(store)


def test_a_hub_that_answers_with_another_commit_is_refused(store: ModelStore, hub: StandIn) -> None:
    hub.revisions[COMMIT] = OTHER_COMMIT
    with pytest.raises(CheckpointError, match=f"answered with commit {OTHER_COMMIT}; expected {COMMIT}"):
        fetch_into(store)


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_offline_variables_stop_a_fetch_with_a_clear_error(
    store: ModelStore, hub: StandIn, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "1")
    with pytest.raises(CheckpointError, match=f"{variable} is set, so the hub can't be used"):
        fetch_into(store)
    assert hub.asked == []


def test_an_endpoint_that_is_not_a_url_is_refused(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "mirror.example")
    with pytest.raises(CheckpointError, match=r"HF_ENDPOINT is 'mirror\.example'; expected http://"):
        fetch_into(store)


def test_the_token_is_sent_only_to_the_hub(
    store: ModelStore,
    hub: StandIn,
    contents: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    hub.gated = True
    with pytest.raises(CheckpointError, match="is gated: accept its terms there, and set HF_TOKEN"):
        fetch_into(store)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    elsewhere = StandIn()
    elsewhere.add(contents, f"/{REPOSITORY}")
    with served(elsewhere):
        # "localhost" counts as another host than 127.0.0.1, like the hub's content network.
        hub.redirect_to = elsewhere.url.replace("127.0.0.1", "localhost")
        lines = fetch_into(store)
    refused = [one.token for one in hub.asked].count(None)
    assert {one.token for one in hub.asked[refused:]} == {"Bearer hf_secret"}
    assert [(one.method, one.token) for one in elsewhere.asked] == [("GET", None)] * 3
    out = capfd.readouterr()
    assert "hf_secret" not in out.out + out.err + "".join(lines)
    assert not any(
        "hf_secret" in path.read_text(errors="replace") for path in store.folder.rglob("*") if path.is_file()
    )


def test_a_checkpoint_is_fetched_by_one_process_at_a_time(store: ModelStore, hub: StandIn) -> None:
    with (
        open_staging(store, "small"),
        pytest.raises(CheckpointError, match="another process is already fetching small"),
    ):
        fetch_into(store)


def test_an_interrupted_replacement_is_undone_without_the_hub(store: ModelStore, hub: StandIn) -> None:
    fetch_into(store)
    partial = store.hidden_path("small", "partial")
    partial.mkdir()
    store.path("small").rename(partial / "replaced")
    hub.files.clear()
    assert "nothing to do" in fetch_into(store)[0]
    assert find_checkpoint("small", store.folder).class_names == NAMES


def test_leftovers_of_a_finished_replacement_are_deleted(store: ModelStore, hub: StandIn) -> None:
    fetch_into(store)
    (store.hidden_path("small", "partial") / "replaced").mkdir(parents=True)
    assert "nothing to do" in fetch_into(store)[0]
    fetch_into(store, force=True)
    assert leftovers(store) == []
