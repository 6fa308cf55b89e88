"""The arithmetic of a demand: rates, bytes and busy machines. Planning rounds them to figures.

"Busy" is a number of machines, pods or cores at full load in the busiest second.
"""

import math

from visionops_assets.capacity import measurements as m
from visionops_assets.capacity.demand import BYTES_PER_MB, SECONDS_PER_DAY, Demand


def media_partitions(demand: Demand) -> int:
    """Return the partitions that the media topic needs, so that the sensor keeps up."""
    peak_hz = demand.files_hz * demand.peak_factor
    return max(1, math.ceil(peak_hz / (cut_hz(demand) * m.UTILISATION.value)))


def cut_hz(demand: Demand) -> float:
    """Return the files per second that the sensor puts into batches, per partition."""
    files = files_of_batch(demand, demand.file_bytes)
    return m.SENSOR_BATCHES.value * files / m.SENSOR_INTERVAL_S.value


def files_of_batch(demand: Demand, file_bytes: float) -> float:
    """Return the files of a full batch, if all have this size."""
    by_bytes = m.BATCH_BYTES.value / file_bytes if file_bytes else demand.batch_max_messages
    return max(1.0, min(demand.batch_max_messages, by_bytes))


def batches_per_day(demand: Demand) -> float:
    """Return batches per day over all partitions of the topic."""
    partitions = media_partitions(demand)
    rate_hz = demand.files_hz / partitions
    due_hz = min(rate_hz, 1 / demand.batch_max_wait_s)
    full_hz = rate_hz / files_of_batch(demand, demand.file_bytes)
    return partitions * SECONDS_PER_DAY * max(full_hz, due_hz)


def runs_per_day(demand: Demand) -> float:
    """Return runs per day: batches, measurements of the served model, looks at health."""
    longest = SECONDS_PER_DAY / (m.MONITORING_INTERVAL_S.value + m.MONITOR_RUN_S.value)
    monitoring = max(24.0, min(longest, demand.predictions_per_day))
    return batches_per_day(demand) + monitoring + m.HEALTH_RUNS_PER_DAY.value


def catalog_bytes(demand: Demand) -> float:
    """Return bytes of the catalog on one server: rows of every kind with their indexes."""
    row_bytes = m.PREDICTION_ROW_BYTES.value
    row_bytes += m.MODELS[demand.model].embedding_size * m.EMBEDDING_VALUE_BYTES.value
    a_day = (
        demand.files_per_day * m.MEDIA_ROW_BYTES.value
        + demand.frames_per_day * m.FRAME_ROW_BYTES.value
        + demand.files_per_day * demand.labelled_share * m.LABEL_ROW_BYTES.value
        + demand.predictions_per_day * row_bytes
    )
    return a_day * demand.retention_days


def postgres_writes_hz(demand: Demand) -> float:
    """Return the rows that the primary writes in the busiest second."""
    a_file = m.WRITES_PER_FILE.value + demand.labelled_share
    frames_hz = demand.frames_per_day / SECONDS_PER_DAY
    average = demand.files_hz * a_file + frames_hz + demand.predictions_per_second
    return average * demand.peak_factor


def image_core_s(demand: Demand) -> float:
    """Return the CPU seconds of decoding and preprocessing one image."""
    return m.IMAGE_FRAME_S.value + m.IMAGE_FRAME_S_PER_MP.value * demand.image_pixels / BYTES_PER_MB


def video_core_s(demand: Demand) -> float:
    """Return the CPU seconds of one second of video; decoding grows with the pixels."""
    return m.VIDEO_S_PER_S.value * demand.video_pixels / m.VIDEO_PIXELS.value


def ingest_load(demand: Demand) -> float:
    """Return busy pods of ingest: files x `UPLOAD_S` + megabytes x `UPLOAD_S_PER_MB`."""
    megabytes_hz = demand.media_bytes_per_day / SECONDS_PER_DAY / BYTES_PER_MB
    busy = demand.files_hz * m.UPLOAD_S.value + megabytes_hz * m.UPLOAD_S_PER_MB.value
    return busy * demand.peak_factor


def gateway_load(demand: Demand) -> float:
    """Return busy gateways: by CPU time, or by requests in flight (Little's law)."""
    peak_hz = demand.predictions_per_second * demand.peak_factor
    latency_s = m.MODELS[demand.model].p99_ms / 1_000
    by_cpu = peak_hz * m.GATEWAY_S.value / m.POD_CORES.value
    return max(by_cpu, peak_hz * latency_s / m.GATEWAY_MAX_IN_FLIGHT.value)


def triton_cpu_load(demand: Demand) -> float:
    """Return busy Triton pods without a GPU."""
    peak_hz = demand.predictions_per_second * demand.peak_factor
    return peak_hz / m.MODELS[demand.model].peak_hz


def gpu_rate_hz(demand: Demand) -> float:
    """Return predictions per second of one GPU pod: the network's rate, or its decoding."""
    decoded_hz = m.GPU_POD_CORES.value / image_core_s(demand)
    return min(demand.gpu_inferences_per_second, decoded_hz)


def worker_load(demand: Demand) -> float:
    """Return the cores busy with frames in the busiest second, runs' own cost included."""
    decoding_s = demand.media_per_day * image_core_s(demand)
    decoding_s += demand.video_s_per_day * video_core_s(demand)
    a_day_s = decoding_s * demand.peak_factor + batches_per_day(demand) * m.RUN_CPU_S.value
    return a_day_s / SECONDS_PER_DAY


def kept_image_bytes(demand: Demand) -> float:
    """Return the bytes of an image that is kept beside its prediction."""
    return min(demand.image_bytes, m.KEPT_IMAGE_BYTES.value)


def queued_hz(demand: Demand) -> float:
    """Return the average bytes per second that are published, before replication."""
    embedding = m.MODELS[demand.model].embedding_size * m.FLOAT_BYTES.value
    # An image travels in Base64.
    image = demand.kept_image_share * kept_image_bytes(demand) * 4 / 3
    prediction_bytes = m.PREDICTION_BYTES.value + embedding + image
    return demand.files_hz * m.EVENT_BYTES.value + demand.predictions_per_second * prediction_bytes


def queued_bytes(demand: Demand) -> float:
    """Return the bytes that all replicas of the queue hold."""
    seconds = demand.queue_retention_days * SECONDS_PER_DAY
    return queued_hz(demand) * seconds * demand.replication
