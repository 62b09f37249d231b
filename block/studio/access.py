"""What Edge Impulse hands to a block besides its options: the environment, and the file of sample ids."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from block.settings import SettingsError
from block.studio.client import DEFAULT_ENDPOINT, normal_endpoint


@dataclass(frozen=True)
class Access:
    """Where the API is and who calls it. `project_id` None: the one project the key belongs to."""

    endpoint: str
    key: str = field(repr=False)
    project_id: int | None


def read_access(environment: Mapping[str, str]) -> Access:
    """From the environment variables that Edge Impulse sets. Raises SettingsError; the key is never quoted."""
    key = environment.get("EI_PROJECT_API_KEY", "").strip()
    if not key:
        raise SettingsError(
            "EI_PROJECT_API_KEY is not set; expected the API key of the project (in Studio: Dashboard, Keys)"
        )
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise SettingsError(f"EI_PROJECT_API_KEY holds spaces or odd characters ({len(key)} in all); expected ei_…")
    try:
        endpoint = normal_endpoint(environment.get("EI_API_ENDPOINT", "").strip() or DEFAULT_ENDPOINT)
    except ValueError as error:
        raise SettingsError(f"EI_API_ENDPOINT cannot be used: {error}") from None
    project_id = environment.get("EI_PROJECT_ID", "").strip()
    if project_id and not (project_id.isascii() and project_id.isdecimal() and len(project_id) < 19):
        raise SettingsError(f"EI_PROJECT_ID is {project_id[:40]!r}; expected a whole number")
    return Access(endpoint, key, int(project_id) if project_id else None)


def read_ids(path: str) -> list[int]:
    """Sample ids from a JSON file, a bare array or `{"ids": [...]}`; each once, in order of first appearance.

    Raises SettingsError for a file that cannot be read or that holds anything else.
    """
    expected = 'expected an array of whole numbers or {"ids": [...]}'
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SettingsError(f"--data-ids-file {path} cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"--data-ids-file {path} is no JSON ({str(error)[:100]}); {expected}") from None
    ids = content.get("ids") if isinstance(content, dict) else content
    if not isinstance(ids, list):
        got = f"an object with the keys {sorted(content)[:5]}" if isinstance(content, dict) else type(ids).__name__
        raise SettingsError(f"--data-ids-file {path} holds {got}; {expected}")
    for position, item in enumerate(ids):
        if isinstance(item, bool) or not isinstance(item, int):
            raise SettingsError(
                f"--data-ids-file {path}: entry {position} is {json.dumps(item)[:60]}; expected a whole number"
            )
    return list(dict.fromkeys(ids))


def write_ids(path: str, ids: list[int]) -> None:
    """Write ids in the form that `read_ids` reads. Raises OSError."""
    Path(path).write_text(json.dumps({"ids": ids}) + "\n", encoding="utf-8")
