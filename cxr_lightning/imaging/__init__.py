"""From the bytes of an image file to gray pixels: readers, bit depth, DICOM, signatures, quality flags. No torch."""
