"""One exception tree: a message says what was wrong and what to do, and its code is stable."""

from visionops_client.errors import ContentChangedError as ContentChangedError
from visionops_client.errors import RefusedError as RefusedError
from visionops_client.errors import ServerUnreachableError as ServerUnreachableError
from visionops_client.errors import SettingsError as SettingsError
from visionops_client.errors import VisionOpsError as VisionOpsError


class StackError(VisionOpsError):
    """A local server could not be started, stopped or reached."""

    code = "stack_failed"


class DeadlineExceededError(VisionOpsError):
    """A server took the request but did not answer it in time."""

    code = "deadline_exceeded"


class MediaError(VisionOpsError):
    """The bytes of a media file cannot be used. Subclasses are the reasons for quarantine."""

    code = "invalid_media"


class EmptyMediaError(MediaError):
    """The file has no bytes."""

    code = "empty"


class ForgottenMediaError(MediaError):
    """The content was erased on request, and is not taken again."""

    code = "forgotten"


class UnsupportedMediaError(MediaError):
    """The content is none of the accepted image or video containers."""

    code = "unsupported_media_type"


class CorruptMediaError(MediaError):
    """The container is an accepted one, but its content does not decode."""

    code = "corrupt"


class TooManyPixelsError(MediaError):
    """The header declares more pixels than the limit; nothing was decoded."""

    code = "too_many_pixels"


class NoVideoStreamError(MediaError):
    """The container has no video stream."""

    code = "no_video_stream"


class NoFramesError(MediaError):
    """The video decodes to no frames."""

    code = "no_frames"


class DecoderCrashedError(MediaError):
    """The sandboxed decoder died or ran past its limits on this file."""

    code = "decoder_crashed"


class TooLargeError(MediaError):
    """The file has more bytes than the limit."""

    code = "too_large"


class TooLongError(MediaError):
    """The video lasts longer than the limit."""

    code = "too_long"


class UnsupportedCodecError(MediaError):
    """The container is an accepted one, but its video codec is not."""

    code = "unsupported_codec"


class UnsupportedEncodingError(MediaError):
    """The file is sound and its format is an accepted one, but its coding is not decoded."""

    code = "unsupported_encoding"


class MissingMediaError(MediaError):
    """The file was acknowledged, and the object store has it no more."""

    code = "missing"


class AlteredMediaError(MediaError):
    """The object store has other bytes than those that were acknowledged."""

    code = "altered"


class NotFoundError(VisionOpsError):
    """The thing asked for does not exist."""

    code = "not_found"


class UploadExpiredError(VisionOpsError):
    """The upload outlived its lease and was given up; nothing was acknowledged."""

    code = "upload_expired"


class InvalidRequestError(VisionOpsError):
    """A field of the request has a value that cannot be used."""

    code = "invalid_request"


class InvalidLengthError(VisionOpsError):
    """The length of a request's body is missing, or is not what was announced."""

    code = "invalid_content_length"


class SlowBodyError(VisionOpsError):
    """The bytes of a request stopped coming."""

    code = "slow_body"


class IdempotencyKeyReusedError(VisionOpsError):
    """An Idempotency-Key came again with another request."""

    code = "idempotency_key_reused"


class ResumableConflictError(VisionOpsError):
    """A part of a resumable upload does not begin where the upload stands."""

    code = "offset_conflict"


class UnauthenticatedError(VisionOpsError):
    """There is no API key in the request, or none that is known and valid."""

    code = "unauthenticated"


class ForbiddenError(VisionOpsError):
    """The API key does not have the scope that the request needs."""

    code = "forbidden"


class LabelForbiddenError(ForbiddenError):
    """The file has another label, and the API key may not change it."""

    code = "label_forbidden"


class RateLimitedError(VisionOpsError):
    """The API key sent more requests than it may; `retry_after_s` says when to come again."""

    code = "rate_limited"

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class OverloadedError(VisionOpsError):
    """More requests are under way than can be answered in time; `retry_after_s` as above."""

    code = "overloaded"

    def __init__(self, message: str, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class QuotaExceededError(OverloadedError):
    """The API key has more of something open than it may have; `retry_after_s` as above."""

    code = "quota_exceeded"


class LogTruncatedError(VisionOpsError):
    """The queue no longer holds an offset range that a batch was cut from."""

    code = "log_truncated"


class MissingCodecError(VisionOpsError):
    """The queue holds a message whose compression this environment cannot read."""

    code = "missing_codec"


class PublishError(VisionOpsError):
    """The queue did not acknowledge an event; it stays in the outbox."""

    code = "publish_failed"


class DamagedShardError(VisionOpsError):
    """A shard of frames is gone, or has other bytes than those that were written."""

    code = "damaged_shard"


class ErasureForbiddenError(VisionOpsError):
    """The object store does not let these credentials list or delete versions."""

    code = "erasure_forbidden"


class DamagedArtifactError(VisionOpsError):
    """A file that one stage stored for others is gone, or has other bytes than were written."""

    code = "damaged_artifact"


class NoRoomError(VisionOpsError):
    """The disk of this machine is full."""

    code = "no_room"


class SnapshotError(VisionOpsError):
    """A dataset snapshot cannot be cut from what the catalog holds."""

    code = "snapshot_failed"


class GateRefusedError(VisionOpsError):
    """A release was asked for a model version that has no passing verdict."""

    code = "gate_refused"


class ReleaseError(VisionOpsError):
    """A release failed; what served before still serves."""

    code = "release_failed"


class UntrustedArtifactError(ReleaseError):
    """The files of a model are not what was signed, or were not signed with our key."""

    code = "untrusted_artifact"


class RolloutError(VisionOpsError):
    """A canary or shadow cannot be started or ended as asked."""

    code = "rollout_refused"


class NoModelServedError(VisionOpsError):
    """No released model is loaded in Triton yet."""

    code = "no_model_served"


class BackupError(VisionOpsError):
    """A backup could not be taken, or not be restored; the database is as it was."""

    code = "backup_failed"
