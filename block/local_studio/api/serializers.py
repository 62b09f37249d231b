"""Serialize samples and projects as the JSON that the API documents.

Every field that the API's schemas require is present, so that the official Python bindings can parse the answers.
Fields that don't apply here have the simplest legal value.
"""

from __future__ import annotations

from collections.abc import Sequence

from block.local_studio.data.project import LocalProject
from block.local_studio.data.sample import LocalSample

Json = dict[str, object]

DEVICE_TYPE = "LOCAL_STUDIO"
SENSORS: list[Json] = [{"index": 0, "name": "audio", "units": "wav"}]  # `index` is the `axisIx` of the WAV call


def serialize_sample(project: LocalProject, item: LocalSample, *, with_sensors: bool = True) -> Json:
    """Serialize a sample. `metadata` is absent if there is none."""
    sensors = SENSORS if with_sensors else []
    interval_ms = 1000 / item.frequency_hz if item.frequency_hz else 0.0
    answer: Json = {
        "id": item.id,
        "filename": item.name,
        "signatureValidate": True,
        "created": item.created,
        "lastModified": item.modified,
        "added": item.added,
        "category": item.category,
        "coldstorageFilename": f"local-studio/{project.id}/{item.id}",
        "label": item.label,
        "intervalMs": interval_ms,
        "frequency": item.frequency_hz,
        "originalIntervalMs": interval_ms,
        "originalFrequency": item.frequency_hz,
        "deviceType": DEVICE_TYPE,
        "sensors": sensors,
        "valuesCount": item.values_count,
        "totalLengthMs": item.length_ms,
        "boundingBoxes": [],
        "boundingBoxesType": "object_detection",
        "chartType": "chart",
        "isDisabled": item.is_disabled,
        "isProcessing": False,
        "processingError": item.processing_error is not None,
        "isCropped": False,
        "projectId": project.id,
        "projectName": project.name,
        "projectLabelingMethod": "single_label",
        "sha256Hash": item.sha256,
        "datastreams": [
            {
                "index": 0,
                "chartType": "chart",
                "intervalMs": interval_ms,
                "frequencyHz": item.frequency_hz,
                "sensors": sensors,
                "valuesCount": item.values_count,
                "totalLengthMs": item.length_ms,
            }
        ],
    }
    if item.processing_error is not None:
        answer["processingErrorString"] = item.processing_error
    if item.metadata:
        answer["metadata"] = dict(item.metadata)
    if item.structured_labels is not None:
        answer["structuredLabels"] = [label.to_json() for label in item.structured_labels]
        answer["structuredLabelsList"] = list(dict.fromkeys(label.label for label in item.structured_labels))
    return answer


def serialize_payload(item: LocalSample, values: list[list[int]]) -> Json:
    """Serialize the `payload` of a sample: its axes, and the requested values."""
    return {
        "device_type": DEVICE_TYPE,
        "sensors": SENSORS,
        "values": values,
        "intervalMs": 1000 / item.frequency_hz if item.frequency_hz else 0.0,
        "frequencyHz": item.frequency_hz,
    }


def serialize_project(item: LocalProject) -> Json:
    """Serialize a project. It is an Enterprise project, because only those have custom blocks."""
    return {
        "id": item.id,
        "name": item.name,
        "description": "A folder of audio on this machine",
        "created": item.created,
        "owner": "local",
        "ownerIsDeveloperProfile": False,
        "collaborators": [],
        "labelingMethod": "single_label",
        "metadata": {},
        "isEnterpriseProject": True,
        "whitelabelId": None,
        "tier": "enterprise",
        "hasPublicVersion": False,
        "isPublic": False,
        "allowsLivePublicAccess": False,
        "indPauseProcessingSamples": False,
        "publicProjectListed": False,
    }


def serialize_project_info(item: LocalProject, samples: Sequence[LocalSample]) -> Json:
    """Serialize a `ProjectInfoResponse` without the envelope. As documented, `dataSummary` is of the training set."""

    def summary(category: str) -> Json:
        members = [sample for sample in samples if sample.category == category]
        labels = sorted(
            {label.label for sample in members for label in sample.structured_labels or ()}
            | {sample.label for sample in members if not sample.structured_labels}
        )
        return {
            "totalLengthMs": sum(sample.length_ms for sample in members),
            "labels": labels,
            "totalLabels": len(labels),
            "dataCount": len(members),
        }

    created = item.created
    return {
        "project": serialize_project(item),
        "developmentKeys": {},
        "impulse": {"created": False, "configured": False, "complete": False},
        "devices": [],
        "dataSummary": summary("training"),
        "dataSummaryPerCategory": {
            "training": summary("training"),
            "testing": summary("testing"),
            "validation": summary("validation"),
            "postProcessing": summary("post-processing"),
        },
        "computeTime": {"periodStartDate": created, "periodEndDate": created, "timeUsedMs": 0, "timeLeftMs": 0},
        "acquisitionSettings": {
            "intervalMs": 0.0625,
            "lengthMs": 1000,
            "segmentShift": False,
            "defaultPageSize": 100,
            "viewType": "list",
            "gridColumnCount": 3,
            "gridColumnCountDetailed": 3,
            "showExactSampleLength": False,
            "inlineEditBoundingBoxes": False,
        },
        "collaborators": [],
        "deploySettings": {
            "eonCompiler": False,
            "sensor": "microphone",
            "arduinoLibraryName": "",
            "tinkergenLibraryName": "",
            "particleLibraryName": "",
        },
        "experiments": [],
        "latencyDevices": [],
        "urls": {},
        "showCreateFirstImpulse": False,
        "showGettingStartedWizard": {"showWizard": False, "step": 0},
        "performance": {
            "gpu": False,
            "jobLimitM": 0,
            "dspFileSizeMb": 0,
            "enterprisePerformance": True,
            "trainJobRamMb": 0,
        },
        "trainJobNotificationUids": [],
        "dspJobNotificationUids": [],
        "modelTestingJobNotificationUids": [],
        "exportJobNotificationUids": [],
        "hasNewTrainingData": False,
        "studioUrl": "",
        "inPretrainedModelFlow": False,
        "showSensorDataInAcquisitionGraph": False,
        "notifications": [],
    }
