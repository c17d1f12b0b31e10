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
REPORT_FILES = ("report.html", "metrics.json", PREDICTIONS_FILE)
"""Files by which the folder of a report is known."""

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

TRACEBACK_FILE = "traceback.txt"
"""File in a run's folder with the traceback of an exception that nobody expected."""
ERROR_FILE = "error.txt"
"""File in the folder of a sweep's job that failed, with its message."""
