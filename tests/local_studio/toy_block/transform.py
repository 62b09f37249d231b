"""A tiny AI Action for tests: labels each whole recording with one label, or proposes it."""

import argparse
import json
import os
import signal
import subprocess
import sys
import time

import requests

parser = argparse.ArgumentParser(allow_abbrev=False)
parser.add_argument("--data-ids-file", required=True)
parser.add_argument("--propose-actions", type=int)
parser.add_argument("--label", required=True)
parser.add_argument("--pause-ms", type=int, required=True)
parser.add_argument("--do", required=True)
parser.add_argument("--details", type=int, required=True)
arguments, others = parser.parse_known_args()

api = f"{os.environ['EI_API_ENDPOINT']}/api/{os.environ['EI_PROJECT_ID']}/raw-data"
session = requests.Session()
session.trust_env = False
session.headers["x-api-key"] = os.environ["EI_PROJECT_API_KEY"]


def post(sample_id: int, call: str, body: dict[str, object]) -> None:
    answer = session.post(f"{api}/{sample_id}/{call}", json=body, timeout=30).json()
    if not answer["success"]:
        raise SystemExit(answer["error"])


if arguments.do == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if arguments.do == "leave":
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("arguments:", json.dumps(sys.argv[1:]))
print("variables:", json.dumps(sorted(os.environ)), file=sys.stderr)
print("token of", len(os.environ.get("TOY_TOKEN", "")), "characters;", "in", os.getcwd())
with open(arguments.data_ids_file) as file:
    ids = json.load(file)["ids"]
for sample_id in ids:
    print(f"sample {sample_id} <script>alert(1)</script>")
    time.sleep(arguments.pause_ms / 1000)
    if arguments.do == "fail":
        raise SystemExit(3)
    values = session.get(f"{api}/{sample_id}", params={"limitPayloadValues": 1}, timeout=30).json()["sample"][
        "valuesCount"
    ]
    label = arguments.label.replace("\\n", "-")
    labels = [{"startIndex": 0, "endIndex": values - 1, "label": label}]
    if arguments.details:
        with open(os.environ["LOCAL_STUDIO_DETAILS"], "a") as file:
            segment = {**labels[0], "score": 0.8, "runnersUp": [["other", 0.1]], "windows": 1, "agreeing": 1}
            file.write(json.dumps({"sample": sample_id, "segments": [segment]}) + "\n")
    if arguments.propose_actions is None:
        post(sample_id, "structured-labels", {"structuredLabels": labels})
        post(sample_id, "metadata", {"metadata": {"labeled_by": "toy"}})
    else:
        changes = {"structuredLabels": labels, "metadata": {"labeled_by": "toy"}}
        post(sample_id, "propose-changes", {"jobId": arguments.propose_actions, "proposedChanges": changes})
print("done")
