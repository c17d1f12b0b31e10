"""Names of files in a run's folder, and of entries in model files, that several packages read."""

CHECKPOINT_FOLDER = "checkpoints"
BEST_CHECKPOINT = "best.ckpt"
LAST_CHECKPOINT = "last.ckpt"
"""The checkpoint from which a run is resumed."""
PREVIOUS_CHECKPOINT = "previous.ckpt"
"""The checkpoint before the last one: a run is resumed from it where the last one is missing or damaged."""
SUMMARY_FILE = "summary.json"
"""The file that a run writes last: a run that has it is finished."""
SETTINGS_FILE = "settings.json"
"""The settings of a run, with which it is compared when it is resumed."""
HISTORY_FILE = "history.csv"
PREDICTIONS_FILE = "predictions.csv"
CURVE_FILE = "loss_curve.png"
BATCH_FILE = "nonfinite_batch.csv"
EXCLUDED_IMAGES_FILE = "left_out.csv"
STATISTICS_FILE = "statistics.json"
TRACEBACK_FILE = "traceback.txt"
"""File in a run's folder with the traceback of an exception that nobody expected."""
ERROR_FILE = "error.txt"
"""File in the folder of a sweep's job that failed, with its message."""
LOCK_FILE = ".lock"
"""File in a run's folder that a process locks while it works there."""

RUN_FILES = (
    *(SUMMARY_FILE, HISTORY_FILE, f"{CHECKPOINT_FOLDER}/*.ckpt", SETTINGS_FILE),
    *(CURVE_FILE, EXCLUDED_IMAGES_FILE, f"{BATCH_FILE.removesuffix('.csv')}*.csv"),
)
"""What a training writes into its folder, as patterns; another one there would replace it."""
METRICS_TABLE = "metrics.csv"
"""A row per finding, of a report; also Lightning's own table of a training, where its logger has no folder below."""
REPORT_FILES = ("report.html", "metrics.json", PREDICTIONS_FILE, METRICS_TABLE, "figures/*", "gradcam/*")
"""What an evaluation writes into its folder, as patterns; another one there would replace it."""
START_FILES = (STATISTICS_FILE, ERROR_FILE, METRICS_TABLE, f"*{TRACEBACK_FILE}", "tensorboard/*", "csv/*", "wandb/*")
"""What both leave also where they fail at their start, as patterns: beside Hydra's record of that start, no result."""
SWEEP_FILES = ("leaderboard.csv", "leaderboard.png")
"""What the end of a sweep writes into its folder."""

METADATA_KEY = "cxr_lightning"
"""Entry of a checkpoint, and of the metadata of exported files, with everything beside the weights: format,
labels, data, validation AUROC, package versions, post-processing. Plain values only."""
REFERENCE_KEY = "cxr_lightning_reference"
"""Entry of a checkpoint with an image and its probabilities, to be computed again on another installation."""
EPOCH_KEY = "cxr_lightning_epoch"
"""Entry of a checkpoint with the sum of losses and the number of images of an epoch that is not over."""
METADATA_FORMAT = 2
"""Format of the metadata. Version 0.1 wrote 1; its tensors have other names (``models/version_0_1.py``)."""

SETTINGS_KEY = "training_settings"
"""Entry of a checkpoint's metadata with the settings that determine what is learned."""

FOREIGN_SUFFIXES = (".h5", ".hdf5", ".keras", ".safetensors", ".pth", ".pt", ".tar")
"""Suffixes of weight files of other projects, whose ``.ckpt`` files are read too."""
WEIGHT_SUFFIXES = (".ckpt", *FOREIGN_SUFFIXES)
"""Suffixes of files from which a training can start."""

ONNX_IMAGES = "images"
"""Input of an exported ONNX file."""
ONNX_PROBABILITIES, ONNX_RAW_PROBABILITIES, ONNX_ACTIVATION_MAPS = (
    "probabilities",
    "raw_probabilities",
    "activation_maps",
)
"""Outputs of an exported ONNX file."""
