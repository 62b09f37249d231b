"""Run the AI Action as Edge Impulse would start it, against a local Studio over a loopback socket."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from block import cli
from block.local_studio.address import Address
from block.local_studio.data.project import LocalProject
from block.local_studio.data.sample import LocalSample, StructuredLabel
from block.local_studio.server import running
from block.model import checkpoint
from tests.conftest import EMBEDDED, NAMES, SHARED
from tests.local_studio.conftest import add_recording, audio_file_of

RNG = np.random.default_rng(11)


def sound(seconds: float, rate: int) -> np.ndarray:
    """Return tones that change every second, with a little noise."""
    time = np.arange(round(seconds * rate)) / rate
    hz = 200 * 2 ** (np.floor(time) % 5)
    return 0.3 * np.sin(2 * np.pi * hz * time) + RNG.normal(0, 0.01, len(time))


def wav(values: np.ndarray, rate: int, subtype: str = "PCM_16") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, values, rate, format="WAV", subtype=subtype)
    return file.getvalue()


@dataclass
class Studio:
    """A project that the local Studio serves, with methods to run the block on it."""

    project: LocalProject
    address: Address
    folder: Path
    monkeypatch: pytest.MonkeyPatch

    def run(self, ids: object, *arguments: str) -> int:
        self.monkeypatch.setenv("EI_PROJECT_API_KEY", self.address.key)
        self.monkeypatch.setenv("EI_API_ENDPOINT", self.address.endpoint)
        path = self.folder / "ids.json"
        path.write_text(json.dumps(ids))
        return cli.run_action(["--data-ids-file", str(path), "--device", "cpu", *arguments])

    def add(self, seconds: float, **options: Any) -> int:
        """Add a recording of `seconds`, and return its id."""
        return add_recording(self.project, audio=wav(sound(seconds, 16000), 16000), **options)

    def labels(self, sample_id: int, job: int | None = None) -> list[tuple[int, int, str]]:
        labels = self.project.sample(sample_id, job).structured_labels or ()
        return [(one.start_index, one.end_index, one.label) for one in labels]


@pytest.fixture
def studio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    folder = tmp_path / "audio"
    folder.mkdir()
    project = LocalProject(folder)
    with running(project) as address:
        yield Studio(project, address, tmp_path, monkeypatch)
    project.close()


def is_partition(labels: list[tuple[int, int, str]], values: int) -> bool:
    """Return True if the labels cover all values without gaps or overlaps."""
    ends = [-1, *[end for _, end, _ in labels]]
    return ends[-1] == values - 1 and all(label[0] == end + 1 for label, end in zip(labels, ends, strict=False))


GOOD = [(0.7, 8000), (3.3, 16000), (5.05, 22050), (11.0, 44100), (6.4, 48000), (4.0, 16000)]


def test_a_run_labels_all_good_recordings_reports_the_bad_ones_and_exits_with_1(
    studio: Studio, checkpoint_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for index, (seconds, rate) in enumerate(GOOD):
        subtype = ("PCM_16", "PCM_24", "FLOAT", "PCM_U8", "PCM_32", "DOUBLE")[index]
        soundfile.write(studio.project.root / f"good {index}.wav", sound(seconds, rate), rate, subtype)
    studio.project.scan()
    good = [sample.id for sample in studio.project.samples()]
    unreadable = add_recording(studio.project, audio=b"not a sound")
    empty = add_recording(studio.project, 0)
    damaged = studio.add(1)
    garbage = studio.add(1, name="../../etc/passwd\nx")
    disabled = studio.add(1, is_disabled=True)
    for sample_id, content in ((damaged, wav(sound(1, 16000), 16000)[:5000]), (garbage, b"not a sound")):
        audio_file_of(studio.project, sample_id).write_bytes(content)
    missing = 9999
    failed_ids = studio.folder / "failed.json"

    code = studio.run(
        {"ids": [good[0], missing, *good[1:], unreadable, empty, damaged, garbage, disabled, good[0]]},
        "--model", str(checkpoint_folder), "--audioset-labels", "speech, music (tune), dog",
        "--failed-ids-file", str(failed_ids),
    )  # fmt: skip

    assert code == 1
    bad = [missing, unreadable, empty, damaged, garbage]
    assert json.loads(failed_ids.read_text()) == {"ids": bad}
    out = capsys.readouterr().out
    for sample_id, reason in [
        (missing, "HTTP 404"), (unreadable, "the file is text, not audio"), (empty, "empty"),
        (damaged, "the audio is cut off"), (garbage, "the file is text, not audio"),
    ]:  # fmt: skip
        assert any(
            line.startswith(f"{sample_id} ") and " failed: " in line and reason in line for line in out.splitlines()
        ), reason
    assert f"{disabled} skipped: it is disabled" in out
    assert "12 recordings in" in out
    assert "6 labeled, 5 failed, 1 skipped" in out
    assert out.count("warning: some recordings have sample rates below the model's 16000 Hz") == 1
    found = set()
    for sample_id in good:
        sample = studio.project.sample(sample_id)
        labels = studio.labels(sample_id)
        assert is_partition(labels, sample.values_count)
        found |= {label for _, _, label in labels}
        assert sample.metadata["labeled_by"] == "audio-spectrogram-transformer"
        assert sample.metadata["ast_labels"] == "speech, music (tune), dog"
        assert sample.metadata["ast_windows"] == "2000 ms every 2000 ms"
        assert sample.metadata["ast_fill"] == "pad"
        assert set(sample.metadata) >= {"ast_model", "ast_score_function", "ast_mode", "ast_dtype", "ast_version"}
    assert len(found - {"other"}) >= 2, "the test's checkpoint tells its sounds apart"
    for sample_id in (unreadable, empty, damaged, garbage, disabled):
        assert not studio.labels(sample_id)
        assert studio.project.sample(sample_id).metadata == {}


def test_a_preview_proposes_the_same_labels_for_every_sample_and_changes_none(
    studio: Studio, checkpoint_folder: Path
) -> None:
    good = studio.add(5, metadata={"site": "north"})
    bad = add_recording(studio.project, audio=b"no sound", metadata={"site": "south"}, label="idle")
    options = ["--model", str(checkpoint_folder), "--audioset-labels", "speech\\nmusic\\ndog"]
    assert studio.run([good, bad], *options, "--propose-actions", "41") == 1
    assert studio.labels(good) == []
    assert studio.project.sample(good).metadata == {"site": "north"}
    proposed = studio.labels(good, job=41)
    assert is_partition(proposed, 80000)
    assert studio.project.sample(good, 41).metadata["site"] == "north"
    assert studio.project.sample(bad, 41).metadata == {"site": "south"}
    assert studio.project.sample(bad, 41).label == "idle"

    assert studio.run([good], *options) == 0
    assert studio.labels(good) == proposed


def test_a_run_reuses_the_scores_that_the_preview_put_in_the_score_store(
    studio: Studio, checkpoint_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [studio.add(seconds) for seconds in (5, 3, 4)]
    options = ["--model", str(checkpoint_folder), "--audioset-labels", "speech\\nmusic\\ndog", "--win-size-ms", "1000",
               "--win-stride-ms", "1000"]  # fmt: skip
    store = studio.folder / "kept" / "scores"
    assert studio.run(ids[:2], *options, "--propose-actions", "41", "--score-store", str(store)) == 0
    assert "0 windows reused, 8 computed" in capsys.readouterr().out
    assert studio.run(ids, *options, "--dry-run", "--score-store", str(store)) == 0
    assert "8 windows reused, 4 computed" in capsys.readouterr().out

    def fail_to_load(*_: object) -> None:
        raise AssertionError("the model was loaded")

    with monkeypatch.context() as patch:
        patch.setattr("block.model.classifier.load_model", fail_to_load)
        assert studio.run(ids, *options, "--score-store", str(store)) == 0
    assert "12 windows reused, 0 computed" in capsys.readouterr().out
    stored = [studio.labels(sample_id) for sample_id in ids]
    assert studio.labels(ids[0], job=41) == stored[0]
    assert studio.run(ids, *options) == 0
    assert [studio.labels(sample_id) for sample_id in ids] == stored


def test_a_dry_run_changes_nothing(studio: Studio, checkpoint_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sample_id = studio.add(2)
    before = studio.project.sample(sample_id)
    assert studio.run([sample_id], "--model", str(checkpoint_folder), "--dry-run") == 0
    assert studio.project.sample(sample_id) == before
    out = capsys.readouterr().out
    assert f"dry run, nothing was sent: {sample_id} " in out
    assert "0.00–2.00 s " in out
    assert "POST" not in out
    assert studio.run([sample_id], "--model", str(checkpoint_folder), "--dry-run", "--verbose") == 0
    assert studio.project.sample(sample_id) == before
    assert f"dry run, not sent: POST /api/1/raw-data/{sample_id}/structured-labels" in capsys.readouterr().out


def test_the_original_blocks_command_line_works_unchanged(
    studio: Studio,
    make_checkpoint: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    store = studio.folder / "models"
    store.mkdir()
    make_checkpoint().rename(store / checkpoint.DEFAULT)
    monkeypatch.setattr(checkpoint, "STORE", store)
    sample_id = studio.add(2.5)
    code = studio.run(
        [sample_id], "--audioset-labels", "speech\\nmusic (tune)", "--other-label", "noise",
        "--win-size-ms", "1000", "--win-stride-ms", "500", "--min-confidence", "0.2",
    )  # fmt: skip
    assert code == 0
    assert is_partition(studio.labels(sample_id), 40000)
    assert {label for _, _, label in studio.labels(sample_id)} <= {"speech", "tune", "noise"}
    assert f"warning: {checkpoint.DEFAULT} has unexpected weights" in capsys.readouterr().out


def test_labels_do_not_depend_on_threads_batches_or_the_order_of_the_ids(
    studio: Studio, checkpoint_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for index, (seconds, rate) in enumerate(GOOD):
        soundfile.write(studio.project.root / f"{index}.wav", sound(seconds, rate), rate)
    studio.project.scan()
    ids = [sample.id for sample in studio.project.samples()]
    results = []
    for threads, batch, order in ((1, "0", ids), (8, "1", ids[::-1]), (3, "5", ids[2:] + ids[:2])):
        monkeypatch.setattr("block.labeling.run.THREADS", threads)
        arguments = ("--model", str(checkpoint_folder), "--batch-size", batch, "--win-size-ms", "700")
        assert studio.run(order, *arguments, "--win-stride-ms", "300") == 0
        results.append([studio.labels(sample_id) for sample_id in ids])
    assert results[0] == results[1] == results[2]
    assert len({label for labels in results[0] for _, _, label in labels}) > 1


def test_fill_repeat_repeats_short_windows_and_the_metadata_names_the_fill(
    studio: Studio, checkpoint_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sample_id = studio.add(6)
    arguments = ("--model", str(checkpoint_folder), "--win-size-ms", "500", "--win-stride-ms", "250")
    labels = []
    for fill, mode in (("repeat", "exact"), ("repeat", "fast"), ("pad", "exact")):
        assert studio.run([sample_id], *arguments, "--fill", fill, "--mode", mode) == 0
        labels.append(studio.labels(sample_id))
        assert studio.project.sample(sample_id).metadata["ast_fill"] == fill
    assert labels[0] == labels[1] != labels[2]
    out = capsys.readouterr().out
    assert "windows: 500 ms every 250 ms, filled by repeat" in out
    assert "fast mode: --fill repeat leaves no padding to merge" in out


def test_a_starred_class_includes_its_descendants_and_labels_it_hides_give_a_warning(
    studio: Studio, checkpoint_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sample_id = studio.add(10)
    text = "Animal* (beast), Dog, Human sounds*"
    arguments = ("--model", str(checkpoint_folder), "--win-size-ms", "500", "--win-stride-ms", "500")
    assert studio.run([sample_id], *arguments, "--audioset-labels", text, "--min-confidence", "0.1") == 0
    assert {label for _, _, label in studio.labels(sample_id)} <= {"beast", "Human sounds", "other"}
    assert {label for _, _, label in studio.labels(sample_id)} & {"beast", "Human sounds"}
    assert studio.project.sample(sample_id).metadata["ast_labels"] == text
    assert "warning: 'Dog' will never be used: 'Animal*' comes first" in capsys.readouterr().out


@pytest.mark.slow
def test_fast_mode_reports_its_audit_and_stores_the_mode_of_each_recording(
    studio: Studio, capsys: pytest.CaptureFixture[str]
) -> None:
    from block.model.classifier import GROUPS

    for index in range(4):
        soundfile.write(studio.project.root / f"{index}.wav", sound(30, 16000), 16000)
    studio.project.scan()
    ids = [sample.id for sample in studio.project.samples()]
    arguments = ("--model", str(EMBEDDED), "--win-size-ms", "1000", "--win-stride-ms", "1000")
    assert studio.run(ids, *arguments) == 0
    exact = [studio.labels(sample_id) for sample_id in ids]
    assert studio.run(ids, *arguments, "--mode", "fast", "--min-agreement", "0.5") == 0
    out = capsys.readouterr().out
    assert "opening audit of merged" in out
    assert "of 40 windows got the same label" in out
    modes = {studio.project.sample(sample_id).metadata["ast_mode"] for sample_id in ids}
    assert len(modes) == 1
    assert modes.pop() in ("exact", *(f"fast {path}" for path in GROUPS))
    assert [studio.labels(sample_id) for sample_id in ids] == exact


def test_after_a_fallback_to_exact_mode_the_ids_labeled_in_fast_mode_are_written(
    studio: Studio, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from block.labeling.fast_labeler import FastLabeler

    for index in range(3):
        soundfile.write(studio.project.root / f"{index}.wav", sound(4, 16000), 16000)
    studio.project.scan()
    ids = [sample.id for sample in studio.project.samples()]
    monkeypatch.setattr(FastLabeler, "has_fallen_back", True)
    monkeypatch.setattr(FastLabeler, "__init__", _with_fast_ids(FastLabeler.__init__, [*ids[:2], 99]))
    path = studio.folder / "fast.json"
    assert studio.run(ids, "--model", str(EMBEDDED), "--mode", "fast", "--fast-ids-file", str(path)) == 0
    assert json.loads(path.read_text()) == {"ids": ids[:2]}
    assert (
        f"fast mode labeled 2 recordings before it fell back to exact mode; ids written to {path}"
        in capsys.readouterr().out
    )


def test_after_a_resume_the_file_names_what_earlier_runs_labeled_in_fast_mode(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first run is interrupted after it fell back; the second finds one sample in the journal, one in Studio."""
    from block.labeling.fast_labeler import FastLabeler

    for index in range(4):
        soundfile.write(studio.project.root / f"{index}.wav", sound(4, 16000), 16000)
    studio.project.scan()
    ids = [sample.id for sample in studio.project.samples()]
    path, journal = studio.folder / "fast.json", studio.folder / "journal.jsonl"
    options = ("--model", str(EMBEDDED), "--mode", "fast", "--fast-ids-file", str(path), "--journal", str(journal))
    complete = FastLabeler.complete

    def label_two(self: Any, batch: Any) -> Any:
        for one in batch:
            is_fast = one.prepared.recording_id in ids[:2]
            labeled.append(replace(complete(self, [one])[0], mode="fast merged" if is_fast else "exact"))
        return labeled[-len(batch) :]

    labeled: list[Any] = []
    monkeypatch.setattr(FastLabeler, "complete", label_two)
    assert studio.run(ids[:3], *options) == 0
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    modes = {line["labeled"]: line.get("mode", "exact") for line in lines if "labeled" in line}
    assert modes == dict(zip(ids, ("fast merged", "fast merged", "exact"), strict=False))
    assert not path.exists()
    # As if it had been killed after a fall-back, before the second sample reached the journal.
    kept = [line for line in lines if not line.get("ended") and line.get("labeled") != ids[1]]
    journal.write_text("".join(json.dumps(line) + "\n" for line in [*kept, {"fell_back": True}]))
    assert studio.run(ids, *options) == 0
    assert json.loads(path.read_text()) == {"ids": ids[:2]}


def _with_fast_ids(original: Callable[..., None], ids: list[int]) -> Callable[..., None]:
    """Return an `__init__` that calls the original one and then sets `fast_ids`."""

    def initialize(self: Any, *arguments: Any) -> None:
        original(self, *arguments)
        self.fast_ids = list(ids)

    return initialize


def test_repeating_a_run_changes_nothing_unless_an_option_changed(
    studio: Studio, checkpoint_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = [studio.add(3) for _ in range(3)]
    options = ["--model", str(checkpoint_folder), "--audioset-labels", "speech\nmusic"]
    assert studio.run(ids, *options) == 0
    modified = [studio.project.sample(sample_id).modified for sample_id in ids]
    capsys.readouterr()
    assert studio.run(ids, *options) == 0
    assert ": 0 labeled, 0 failed, 3 already labeled" in capsys.readouterr().out
    assert [studio.project.sample(sample_id).modified for sample_id in ids] == modified
    for change in (["--min-confidence", "0.9"], ["--other-label", "rest"], ["--mode", "fast"], ["--fill", "repeat"]):
        assert studio.run(ids, *options, *change) == 0
        assert "3 labeled, 0 failed" in capsys.readouterr().out


def test_labels_changed_by_hand_stay_unless_overwrite_hand_labels_is_given(
    studio: Studio, checkpoint_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = [studio.add(3) for _ in range(3)]
    options = ["--model", str(checkpoint_folder), "--audioset-labels", "speech\nmusic"]
    assert studio.run(ids, *options) == 0
    by_hand = (StructuredLabel(0, 11_999, "cough"), StructuredLabel(12_000, 47_999, "other"))
    studio.project.store.set_structured_labels(ids[1], by_hand)
    capsys.readouterr()
    for change in ([], ["--min-confidence", "0.9"], ["--propose-actions", "7"]):
        assert studio.run(ids, *options, *change) == 0
        assert f"{ids[1]} skipped: its labels were set or changed by hand" in capsys.readouterr().out
        assert (
            studio.labels(ids[1]) == studio.labels(ids[1], job=7) == [(0, 11_999, "cough"), (12_000, 47_999, "other")]
        )
    assert studio.run(ids, *options, "--overwrite-hand-labels") == 0
    assert all(label != "cough" for _, _, label in studio.labels(ids[1]))


def test_filling_gaps_keeps_a_hand_label_which_later_jobs_keep_too_unless_told_to_overwrite_it(
    studio: Studio, checkpoint_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = [studio.add(3) for _ in range(2)]
    cough = (16_000, 31_999, "cough")
    by_hand = (StructuredLabel(0, 15_999, "other"), StructuredLabel(*cough), StructuredLabel(32_000, 47_999, ""))
    studio.project.store.set_structured_labels(ids[0], by_hand)
    studio.project.store.add_metadata(ids[0], {"labeled_by": "human"})
    options = ["--model", str(checkpoint_folder), "--audioset-labels", "speech\nmusic", "--min-confidence", "0",
               "--win-size-ms", "1000", "--win-stride-ms", "1000"]  # fmt: skip
    fill = [*options, "--existing-labels", "fill-gaps"]
    new = {"speech", "music"}

    assert studio.run(ids, *fill, "--propose-actions", "7") == 0
    proposed = studio.labels(ids[0], job=7)
    assert studio.run(ids, *fill, "--dry-run") == 0
    assert "1.00–2.00 s cough (kept)" in capsys.readouterr().out
    assert cough not in [label for sample_id in ids[1:] for label in studio.labels(sample_id)]
    assert studio.run(ids, *fill) == 0
    assert "cough" not in capsys.readouterr().out  # only new labels are reported
    for sample_id in ids:
        assert is_partition(studio.labels(sample_id), 48_000)
    assert cough in studio.labels(ids[0])
    assert {label for *_, label in studio.labels(ids[0])} - {"cough"} <= new
    assert studio.labels(ids[0]) == proposed
    notes = [studio.project.sample(sample_id).metadata["ast_kept"] for sample_id in ids]
    assert notes == ["16000-31999", "none"]
    assert studio.run(ids, *fill) == 0
    assert "2 already labeled" in capsys.readouterr().out

    other_job = [*options, "--min-confidence", "1", "--other-label", "rest"]
    assert studio.run(ids, *other_job) == 0
    assert studio.labels(ids[0]) == [(0, 15_999, "rest"), cough, (32_000, 47_999, "rest")]
    assert studio.labels(ids[1]) == [(0, 47_999, "rest")]
    assert studio.run(ids, *options, "--overwrite-hand-labels") == 0
    assert {label for *_, label in studio.labels(ids[0])} <= new
    assert is_partition(studio.labels(ids[0]), 48_000)
    assert studio.project.sample(ids[0]).metadata["ast_kept"] == "none"


def test_a_run_with_a_score_store_keeps_its_journal_there(studio: Studio, checkpoint_folder: Path) -> None:
    sample_id = studio.add(3)
    store = studio.folder / "scores"
    options = ["--model", str(checkpoint_folder), "--audioset-labels", "speech", "--score-store", str(store)]
    assert studio.run([sample_id], *options, "--dry-run") == 0
    assert not (store / "journal.jsonl").exists()
    assert studio.run([sample_id], *options) == 0
    lines = [json.loads(line) for line in (store / "journal.jsonl").read_text().splitlines()]
    assert lines[1:] == [{"labeled": sample_id}, {"ended": True}]
    assert studio.run([sample_id], *options) == 0  # the score store still works with a journal in it


def test_a_wrong_key_ends_the_run_before_the_model_is_loaded(studio: Studio, checkpoint_folder: Path) -> None:
    from block.edge_impulse.errors import Unauthorized

    studio.address = replace(studio.address, key="wrong")
    with pytest.raises(Unauthorized, match="HTTP 401"):
        studio.run([1], "--model", str(checkpoint_folder))


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "audio").is_dir(), reason="needs a collection of real recordings")
def test_fifty_real_recordings_are_labeled_in_one_run_by_two_checkpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_checkpoint: Callable[..., Path]
) -> None:
    files = sorted(path for path in (SHARED / "audio").rglob("*") if path.suffix in (".wav", ".ogg"))
    chosen = files[:: len(files) // 50][:50]
    folder = tmp_path / "audio"
    for file in chosen:
        target = folder / file.relative_to(SHARED / "audio")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes())
    project = LocalProject(folder)
    project.scan()
    samples: list[LocalSample] = project.samples()
    assert len(samples) == 50
    with running(project) as address:
        studio = Studio(project, address, tmp_path, monkeypatch)
        ids = [sample.id for sample in samples]
        for model, labels in (
            (str(EMBEDDED), "speech\nmusic\nDog\nRain"),
            (str(make_checkpoint(("yes", "no", *NAMES), seed=5)), "yes\nno\nDog"),
        ):
            assert studio.run(ids, "--model", model, "--audioset-labels", labels) == 0
            for sample in samples:
                assert is_partition(studio.labels(sample.id), sample.values_count)
            names = {label for sample in samples for _, _, label in studio.labels(sample.id)}
            assert names <= {*labels.split("\n"), "other"}
            assert len(names) > 1
    project.close()
