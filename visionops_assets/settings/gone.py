"""Variables of earlier versions, each with a hint. Silence would surprise whoever sets one."""

_MOVED = {
    "MODEL_NAME": "name",
    "SNAPSHOT_MIN_NEW_LABELS": "snapshots.min_new_labels",
    "SNAPSHOT_PAUSE_S": "snapshots.pause_s",
    "SNAPSHOT_MIN_NEW_SHARE": "snapshots.min_new_share",
    "SNAPSHOT_MAX_WAIT_S": "snapshots.max_wait_s",
    "HOLDOUT_PERCENT": "snapshots.holdout_percent",
    "MIN_HOLDOUT_PER_CLASS": "snapshots.min_holdout_per_class",
    "TRAINING_ARCHITECTURE": "training.network",
    "TRAINING_STEPS": "training.steps",
    "TRAINING_LEARNING_RATE": "training.learning_rate",
    "TRAINING_SEED": "training.seed",
    "AUGMENT_CROP": "training.augment.crop",
    "AUGMENT_SHIFT": "training.augment.shift",
    "AUGMENT_ZOOM": "training.augment.zoom",
    "AUGMENT_ROTATION_DEG": "training.augment.rotation_deg",
    "AUGMENT_BRIGHTNESS": "training.augment.brightness",
    "AUGMENT_COLOUR": "training.augment.colour",
    "AUGMENT_FLIP": "training.augment.flip",
    "GATE_MIN_MARGIN": "gate.min_margin",
    "GATE_MAX_REGRESSION": "gate.max_regression",
    "GATE_MIN_ACCURACY": "gate.min_accuracy",
    "FRAME_SIZE_PX": "frames.size_px",
    "FRAME_COLOUR": "frames.colour",
    "FRAME_COLOUR_PROFILE": "frames.colour_profile",
    "FRAME_RESIZE": "frames.resize",
    "FRAME_FILTERS": "frames.filters",
    "FRAME_JPEG_QUALITY": "frames.jpeg_quality",
    "VIDEO_SAMPLE_INTERVAL_S": "frames.video_sample_interval_s",
    "VIDEO_SAMPLING": "frames.video_sampling",
    "VIDEO_MAX_FRAMES": "frames.max_frames_per_video",
    "VIDEO_DEINTERLACE": "frames.deinterlace",
    "SERVING_PRECISION": "serving.precision",
    "ENGINE_PRECISION": "serving.engine_precision",
    "EXPORT_MAX_ACCURACY_DROP": "serving.max_accuracy_drop",
    "ROLLOUT_MIN_REQUESTS": "serving.rollouts.min_requests",
    "ROLLOUT_MAX_ERROR_INCREASE": "serving.rollouts.max_error_increase",
    "ROLLOUT_MAX_LATENCY_RATIO": "serving.rollouts.max_latency_ratio",
    "ROLLOUT_MIN_AGREEMENT": "serving.rollouts.min_agreement",
    "ROLLOUT_MAX_S": "serving.rollouts.max_s",
    "MONITORING_WINDOW_PREDICTIONS": "monitoring.window_predictions",
    "MONITORING_MIN_ACCURACY": "monitoring.min_accuracy",
    "MONITORING_AVERAGE_RUN_LENGTH": "monitoring.average_run_length",
    "DRIFT_SIGNIFICANCE": "monitoring.drift_significance",
    "DRIFT_MIN_PREDICTIONS": "monitoring.drift_min_predictions",
    "RETRAIN_MIN_NEW_LABELS": "retraining.min_new_labels",
    "RETRAIN_COOLDOWN_S": "retraining.cooldown_s",
    "RETRAIN_MAX_COOLDOWN_S": "retraining.max_cooldown_s",
    "RETRAIN_MAX_S": "retraining.max_s",
    "RETRAIN_CANARY_PERCENT": "retraining.canary_percent",
    "ROLLBACK_WITHIN_LABELS": "retraining.rollback_within_labels",
    "LABELLING_BATCH_SIZE": "labelling.batch_size",
    "LABELLING_BATCH_MAX_AGE_S": "labelling.batch_max_age_s",
}
"""A model is described in its declaration: the field that took a variable's place."""

GONE: dict[str, str] = {
    "VISIONOPS_TRAINING_EPOCHS": "training is counted in steps now. Leave it out, and their number "
    "follows from the data, or set training.steps in the model's defs.yaml.",
    "VISIONOPS_SERVING_ENGINE": "engines are built and chosen by themselves now. Name the kinds of "
    "GPU that serve in VISIONOPS_ENGINE_GPUS.",
} | {
    f"VISIONOPS_{name}": f"it is {field} of the model's defs.yaml now, in the folder that "
    "VISIONOPS_MODELS names."
    for name, field in _MOVED.items()
}
