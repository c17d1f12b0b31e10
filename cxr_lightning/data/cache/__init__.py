"""Images that are decoded and resized once, in a file of pixels that runs map into memory."""

from cxr_lightning.data.cache.build import prepare_images
from cxr_lightning.data.cache.equal_images import find_equal_images
from cxr_lightning.data.cache.image_lists import FLAGS_FILE, describe_flags
from cxr_lightning.data.cache.lookup import find_prepared
from cxr_lightning.data.cache.pixels import ImageMap
from cxr_lightning.data.cache.prepared_images import PreparedImages
from cxr_lightning.data.cache.store import CacheSpec

__all__ = [
    "FLAGS_FILE",
    "CacheSpec",
    "ImageMap",
    "PreparedImages",
    "describe_flags",
    "find_equal_images",
    "find_prepared",
    "prepare_images",
]
