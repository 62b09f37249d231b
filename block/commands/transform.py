"""The AI Action: label the samples of an Edge Impulse project.

Errors in the arguments and the environment are reported before torch is imported. Exit codes: 0 all recordings labeled,
1 some failed, 2 nothing could start, 130 canceled.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from block.cluster.settings import read_cluster
from block.commands import ALL_LABELED
from block.commands.executor import start_executor
from block.commands.label_samples import Action, label_samples
from block.commands.options import parse, read_job
from block.edge_impulse.access import read_access
from block.edge_impulse.client import StudioClient
from block.edge_impulse.details import SCORES_VARIABLE
from block.edge_impulse.ids_file import read_ids, try_write_ids
from block.edge_impulse.project import find_project
from block.formatting import make_printable, print_warning
from block.runtime import cancel
from block.score_store import check_folder
from block.settings import SettingsError


def run_action(argv: Sequence[str]) -> int:
    """Label the samples that `argv` names. Return the exit code.

    Raise SettingsError, LabelError, CheckpointError or StudioError if nothing can start.
    """
    action = read_action(argv)
    if not action.ids:
        print(f"nothing to do: {make_printable(action.options.data_ids_file)} has no sample ids")
        try_write_ids("--failed-ids-file", action.options.failed_ids_file, [])
        return ALL_LABELED
    client = StudioClient(action.access.endpoint, action.access.key)
    project_id = find_project(client, action.access)
    executor = start_executor(action.job, action.cluster, f"label project {project_id}")
    try:
        return label_samples(action, client, project_id, executor)
    finally:
        with cancel.defer():
            executor.leave()


def read_action(argv: Sequence[str]) -> Action:
    """Read and check arguments and environment. Raise SettingsError, LabelError or CheckpointError."""
    options = parse(argv, warn=print_warning)
    access = read_access(os.environ)
    if access.is_exposed:
        print_warning("EI_API_ENDPOINT isn't https://, so others can read the key and the audio in transit")
    # The local Studio keeps scores to work with them, so it gets embeddings, too: they take little room.
    options.keep_embeddings |= not options.score_store and SCORES_VARIABLE in os.environ
    job, cluster = read_job(options), read_cluster(options)
    if options.keep_embeddings and not (options.score_store or SCORES_VARIABLE in os.environ):
        raise SettingsError("--keep-embeddings needs --score-store, the folder to store them in")
    if options.score_store:
        check_folder(Path(options.score_store))
    return Action(options, access, read_ids(options.data_ids_file), job, cluster)
