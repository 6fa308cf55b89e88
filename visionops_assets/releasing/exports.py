"""Reads the folder of an export back, and verifies it.

    exports/<model>/<version>/   model.onnx, model.int8.onnx, model.json
    exports/<model>/<version>/export.json     the `ExportedModel` itself
    exports/<model>/<version>/manifest.json   checksums, signed, written last

Not here: how it is made (see `export`).
"""

from pydantic import ValidationError

from visionops_assets.contracts import Artifact, ArtifactReport, ExportedModel
from visionops_assets.errors import ReleaseError
from visionops_assets.releasing.manifest import Files, read_folder
from visionops_assets.resources.object_store import ObjectStore

EXPORT_FILE = "export.json"
FILE_BY_ARTIFACT = {
    Artifact.ONNX_FP32: "model.onnx",
    Artifact.ONNX_INT8: "model.int8.onnx",
}


def export_prefix(model_name: str, model_version: int) -> str:
    """Key prefix of an export's folder, with its slash."""
    return f"exports/{model_name}/{model_version}/"


def read_export(
    object_store: ObjectStore, model_name: str, model_version: int
) -> tuple[ExportedModel, Files]:
    """Read an export back, verified: its record, and all other files.

    Raises:
        ReleaseError: no export exists, or it is not whole.
        UntrustedArtifactError: it is not the one that we signed.
    """
    prefix = export_prefix(model_name, model_version)
    files = read_folder(object_store, prefix)
    try:
        exported = ExportedModel.model_validate_json(files.pop(EXPORT_FILE))
    except (KeyError, ValidationError) as error:
        raise ReleaseError(
            f"{prefix} is not an export of this version: materialize exported_model again."
        ) from error
    return exported, files


def serving_report(exported: ExportedModel, precision: str) -> ArtifactReport:
    """Return the report of the ONNX file that serves a model at a precision, 'fp32' or 'int8'.

    Raises:
        ReleaseError: the export has none, or it differs too much from PyTorch.
    """
    name = f"{exported.model_name} {exported.model_version}"
    report = exported.report(Artifact(f"onnx-{precision}"))
    if report is None:
        raise ReleaseError(
            f"{name} was exported without {precision}: materialize exported_model again."
        )
    if not report.usable:
        raise ReleaseError(
            f"The {precision} artifact of {name} differs from PyTorch "
            f"({'; '.join(report.shortfalls)}): declare another `serving.precision`."
        )
    return report
