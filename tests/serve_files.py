"""A small ONNX model and a film as PNG and as DICOM, for an installation without torch: -m tests.serve_files FOLDER."""

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

from cxr_lightning.checkpoints.installation_check import attach_reference
from cxr_lightning.checkpoints.onnx import export_onnx
from cxr_lightning.labels import NIH_LABELS
from cxr_lightning.models.classifier import ChestXRayClassifier
from cxr_lightning.phantom.reference_image import reference_image


def main() -> None:
    """Write the files into the folder that the command line names."""
    folder = Path(sys.argv[1])
    model = ChestXRayClassifier(NIH_LABELS, backbone="densenet_micro", image_size=64).eval()
    attach_reference(model)
    export_onnx(model, folder / "model.onnx")
    (folder / "model.ckpt").write_bytes(b"no model: only its suffix counts")
    pixels = reference_image(256, "bilinear")
    Image.fromarray(pixels).save(folder / "film.png")
    write_dicom(folder / "film.dcm", pixels)


def write_dicom(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write 8-bit pixels as an uncompressed film."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = (
        DigitalXRayImageStorageForPresentation,
        ExplicitVRLittleEndian,
    )
    meta.MediaStorageSOPInstanceUID = generate_uid()
    film = FileDataset(path, {}, file_meta=meta, preamble=bytes(128))
    film.SOPClassUID, film.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    film.Modality, film.BodyPartExamined, film.ViewPosition = "DX", "CHEST", "PA"
    film.Rows, film.Columns = pixels.shape
    film.SamplesPerPixel, film.PhotometricInterpretation = 1, "MONOCHROME2"
    film.BitsAllocated, film.BitsStored, film.HighBit, film.PixelRepresentation = 8, 8, 7, 0
    film.PixelData = pixels.tobytes()
    film.save_as(path, enforce_file_format=True)


if __name__ == "__main__":
    main()
