"""Settings in, loaders out; everything wrong with the data is found at setup."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from cxr_lightning.data.augment import Augmentation
from cxr_lightning.data.cache import ImageMap
from cxr_lightning.data.data_check import DataRequest
from cxr_lightning.data.data_errors import PatientOverlapError
from cxr_lightning.data.dataloader import EpochSampler
from cxr_lightning.data.datamodule import ChestXRayDataModule
from cxr_lightning.data.dataset import ImageFiles
from cxr_lightning.data.datasets.nih import NIHLayout
from cxr_lightning.labels import NIH_LABELS
from cxr_lightning.utils.subprocesses import usable_cores


def module(folder: Path, **options: Any) -> ChestXRayDataModule:
    settings = {"val_fraction": 0.25, "image_size": 32, "batch_size": 4, "num_workers": 0, **options}
    return ChestXRayDataModule(str(folder), NIHLayout(), **settings)


def ready(folder: Path, **options: Any) -> ChestXRayDataModule:
    datamodule = module(folder, **options)
    datamodule.prepare_data()
    datamodule.setup()
    return datamodule


def splits(datamodule: ChestXRayDataModule) -> dict[str, list[str]]:
    return {split: datamodule.rows(split)["image_id"].tolist() for split in ("train", "val", "test")}


def test_the_splits_share_no_patient_and_hold_both_sides_of_several_labels(datamodule: ChestXRayDataModule) -> None:
    datamodule.setup()
    patients = [set(datamodule.rows(split)["patient_id"]) for split in ("train", "val", "test")]
    assert [len(part) for part in patients] == [9, 3, 4]
    assert len(set.union(*patients)) == 16
    for split in ("train", "val", "test"):
        mean = datamodule.targets(split).mean(dim=0)
        assert int(((mean > 0) & (mean < 1)).sum()) >= 4
    assert datamodule.labels == NIH_LABELS


def test_batches_have_the_designs_shapes_and_types(datamodule: ChestXRayDataModule) -> None:
    datamodule.setup()
    for loader, size in (
        (datamodule.train_dataloader(), 18),
        (datamodule.val_dataloader(), 6),
        (datamodule.test_dataloader(), 8),
    ):
        batches = list(loader)
        assert sum(len(batch["index"]) for batch in batches) == size
        image, target, index = batches[0]["image"], batches[0]["target"], batches[0]["index"]
        assert (image.shape, target.shape, index.shape) == ((4, 1, 32, 32), (4, 14), (4,))
        assert (image.dtype, target.dtype, index.dtype) == (torch.uint8, torch.float32, torch.int64)


def test_a_batch_holds_the_rows_that_its_indices_name(datamodule: ChestXRayDataModule) -> None:
    datamodule.setup()
    dataset = datamodule.dataset("train")
    for batch in datamodule.train_dataloader():
        for image, target, index in zip(batch["image"], batch["target"], batch["index"].tolist(), strict=True):
            assert torch.equal(image, dataset[index]["image"])
            assert torch.equal(target, dataset.targets[index])


def test_only_training_is_shuffled(datamodule: ChestXRayDataModule) -> None:
    datamodule.setup()
    assert isinstance(datamodule.train_dataloader().sampler, EpochSampler)
    assert list(datamodule.val_dataloader().sampler) == list(range(len(datamodule.rows("val"))))
    assert torch.cat([batch["index"] for batch in datamodule.test_dataloader()]).tolist() == list(range(8))


def test_a_last_training_batch_of_one_image_is_dropped(nih_folder: Path) -> None:
    # Eighteen training images: 17 + 1, and a batch that is larger than the set.
    assert [len(batch["index"]) for batch in ready(nih_folder, batch_size=17).train_dataloader()] == [17]
    assert [len(batch["index"]) for batch in ready(nih_folder, batch_size=64).train_dataloader()] == [18]
    # Three of the six validation images are scored in a batch of one.
    assert [len(batch["index"]) for batch in ready(nih_folder, batch_size=5).val_dataloader()] == [5, 1]


def test_the_seed_repeats_the_splits_and_the_shuffle_seed_does_not_touch_them(nih_folder: Path) -> None:
    first = splits(ready(nih_folder, seed=3))
    assert splits(ready(nih_folder, seed=3, shuffle_seed=9)) == first
    assert splits(ready(nih_folder, seed=4)) != first
    assert splits(ready(nih_folder, seed=4))["test"] == first["test"]


def test_a_subset_is_smaller_keeps_both_sides_and_is_recorded(make_nih: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_nih(tmp_path / "nih", patients=40, size=8)
    datamodule = ready(folder, subset=True, subset_images=(12, 6, 10), labels=["Effusion", "Mass"])
    sizes = {split: len(names) for split, names in splits(datamodule).items()}
    assert sizes == {"train": 12, "val": 6, "test": 10}
    for split in sizes:
        mean = datamodule.targets(split).mean(dim=0)
        assert ((mean > 0) & (mean < 1)).all()
    assert datamodule.record()["subset"] is True
    assert splits(ready(folder, subset=True, subset_images=(12, 6, 10), labels=["Effusion", "Mass"])) == splits(
        datamodule
    )


def test_the_record_is_plain_json_and_states_what_the_data_is(
    datamodule: ChestXRayDataModule, nih_folder: Path
) -> None:
    datamodule.setup()
    record = datamodule.record()
    assert json.loads(json.dumps(record)) == record
    assert (record["source"], record["synthetic"], record["subset"], record["skipped"]) == ("nih", False, False, 0)
    assert {split: part["images"] for split, part in record["splits"].items()} == {"train": 18, "val": 6, "test": 8}
    assert record["settings"]["root"] == str(nih_folder)
    assert record["settings"]["source"] == {"name": "nih", "label_file": None}
    assert record["settings"]["labels"] == list(NIH_LABELS)


def test_the_records_settings_are_the_constructors_options(datamodule: ChestXRayDataModule) -> None:
    datamodule.setup()
    settings = datamodule.record()["settings"]
    settings.pop("source")
    again = ChestXRayDataModule(settings.pop("root"), NIHLayout(), **settings)
    again.setup()
    assert again.record()["splits"] == datamodule.record()["splits"]


def test_the_data_is_divided_again_as_a_record_states_without_its_files(
    make_nih: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make_nih(tmp_path / "nih", patients=40, size=8)
    options: dict[str, Any] = {"subset": True, "subset_images": (12, 6, 10), "views": ["PA"], "on_missing": "skip"}
    cache = {"cache": True, "cache_dir": str(tmp_path / "cache")}
    earlier = ready(folder, seed=5, labels=["Mass", "Effusion"], on_bad_image="skip", **options, **cache)
    present = ready(folder)
    few = ready(folder, labels=["Nodule"])
    shutil.rmtree(folder / "images")
    columns = ["image_id", "patient_id", "split"]
    for datamodule in (few, present):  # `few` reads the tables again, for the labels that it lacks
        table = datamodule.resplit(json.loads(json.dumps(earlier.record()))).table
        pd.testing.assert_frame_equal(table[columns], earlier.manifest.table[columns])
        (folder / "Data_Entry_2017_v2020.csv").unlink(missing_ok=True)
    assert len(present.label_table.table) == 80
    assert len(present.manifest.table) == 80


@pytest.mark.parametrize("workers", [0, 1])
def test_prepared_images_are_those_that_are_decoded_every_time(nih_folder: Path, tmp_path: Path, workers: int) -> None:
    decoding = ready(nih_folder)
    prepared = ready(nih_folder, cache=True, cache_dir=str(tmp_path / "cache"), num_workers=workers)
    for split in ("train", "val", "test"):
        assert isinstance(prepared.dataset(split).images, ImageMap)
        assert isinstance(decoding.dataset(split).images, ImageFiles)
    for name in ("train_dataloader", "val_dataloader", "test_dataloader"):
        pairs = list(zip(getattr(decoding, name)(), getattr(prepared, name)(), strict=True))
        assert len(pairs) > 1
        for one, other in pairs:
            assert one.keys() == other.keys() == {"image", "target", "index"}
            assert all(torch.equal(one[key], other[key]) for key in one)
    assert prepared.record() == decoding.record()  # where pixels are kept is no fact about the data
    assert [image.sum() for image in prepared.dataset("train").sample_images(4, seed=0)] == [
        image.sum() for image in decoding.dataset("train").sample_images(4, seed=0)
    ]


def test_only_images_that_are_decoded_need_loader_processes(nih_folder: Path, tmp_path: Path) -> None:
    decoding = ready(nih_folder, num_workers=None)
    prepared = ready(nih_folder, num_workers=None, cache=True, cache_dir=str(tmp_path / "cache"))
    assert decoding.train_dataloader().num_workers == max(0, min(8, usable_cores() - 1))
    assert prepared.train_dataloader().num_workers == 0
    forced = ready(nih_folder, num_workers=2, cache=True, cache_dir=str(tmp_path / "cache"))
    assert forced.train_dataloader().num_workers == 2


def test_only_the_splits_that_are_requested_are_prepared(nih_folder: Path, tmp_path: Path) -> None:
    datamodule = module(nih_folder, cache=True, cache_dir=str(tmp_path / "cache"))
    datamodule.load(DataRequest(prepared=("test",)))
    assert isinstance(datamodule.dataset("test").images, ImageMap)
    assert isinstance(datamodule.dataset("train").images, ImageFiles)
    (index,) = tmp_path.glob("cache/*/index.jsonl")
    assert len(index.read_text().splitlines()) == 1 + len(datamodule.rows("test"))


def test_unreadable_images_are_excluded_if_that_is_requested(
    nih_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = ready(nih_folder).manifest.table.set_index("image_id")["split"]
    images = sorted((nih_folder / "images").iterdir())
    images[3].write_bytes(b"")
    images[9].write_text("version https://git-lfs.github.com/spec/v1\n")
    cached = {"cache": True, "cache_dir": str(tmp_path / "cache")}
    with pytest.raises(ValueError, match=r"Expected prepared images with 'data\.on_bad_image=skip' but they are off"):
        ready(nih_folder, on_bad_image="skip")
    datamodule = ready(nih_folder, on_bad_image="skip", **cached)
    table = datamodule.manifest.table.set_index("image_id")["split"]
    assert table.equals(whole.drop([images[3].name, images[9].name]))
    assert list(datamodule.manifest.rejected) == [images[3].name, images[9].name]
    assert datamodule.manifest.rejected[images[3].name] == "the file is empty"
    assert datamodule.record()["rejected"] == 2
    assert "2 images cannot be used" in caplog.text
    for image in images:
        image.write_bytes(b"")
    nothing = r"\['train', 'val', 'test'\] got none of the 0 images that remain \(32 of 32 .*the file is empty"
    with pytest.raises(ValueError, match=nothing):
        ready(nih_folder, on_bad_image="skip", **cached)


def test_an_unreadable_image_is_found_at_setup(nih_folder: Path) -> None:
    images = sorted((nih_folder / "images").iterdir())
    images[3].write_bytes(b"")
    with pytest.raises(ValueError, match=rf"image in '{images[3]}' but the file is empty\. Download it again, or set"):
        ready(nih_folder)
    images[5].write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(
        ValueError,
        match=rf"2 of 32 images cannot be read: '{images[3]}': the file is empty; '{images[5]}': it is a Git-LFS",
    ):
        ready(nih_folder)


def test_missing_images_stop_or_are_skipped(nih_folder: Path) -> None:
    (nih_folder / "images" / "00000002_000.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"1 of 32 images .*00000002_000\.png"):
        ready(nih_folder)
    datamodule = ready(nih_folder, on_missing="skip")
    assert sum(len(names) for names in splits(datamodule).values()) == 31
    assert datamodule.record()["skipped"] == 1


def test_leaks_between_the_lists_stop_or_are_dropped(nih_folder: Path) -> None:
    lists = {name: nih_folder / f"{name}_list.txt" for name in ("train_val", "test")}
    moved = "00000001_000.png\n"
    lists["train_val"].write_text(lists["train_val"].read_text().replace(moved, ""))
    lists["test"].write_text(lists["test"].read_text() + moved)
    with pytest.raises(PatientOverlapError, match=r"1 patients have images in more than one split: 1\."):
        ready(nih_folder)
    kept = splits(ready(nih_folder, drop_leaked=True))
    assert "00000001_000.png" in kept["test"]
    assert "00000001_001.png" not in [*kept["train"], *kept["val"]]


def test_views_choose_images(nih_folder: Path) -> None:
    datamodule = ready(nih_folder, views=["PA"])
    assert set(datamodule.manifest.table["view_position"]) == {"PA"}
    assert datamodule.record()["settings"]["views"] == ["PA"]


def test_sample_images_are_a_seeded_draw(datamodule: ChestXRayDataModule) -> None:
    datamodule.setup()
    images = list(datamodule.dataset("train").sample_images(5, seed=0))
    assert len(images) == 5
    assert images[0].shape == (1, 32, 32)
    assert all(
        torch.equal(*pair) for pair in zip(images, datamodule.dataset("train").sample_images(5, seed=0), strict=True)
    )
    assert len(list(datamodule.dataset("train").sample_images(99, seed=0))) == 18


def test_data_before_setup_is_an_error(nih_folder: Path) -> None:
    with pytest.raises(RuntimeError, match=r"`setup\(\)` to have been called"):
        module(nih_folder).train_dataloader()


def test_a_second_setup_reads_nothing_again(datamodule: ChestXRayDataModule, nih_folder: Path) -> None:
    datamodule.setup("fit")
    (nih_folder / "Data_Entry_2017_v2020.csv").unlink()
    datamodule.setup("test")
    assert len(datamodule.targets("test")) == 8


class _Trainer:
    """What the hook asks a trainer."""

    def __init__(self, *, training: bool, current_epoch: int = 0) -> None:
        self.training = training
        self.world_size, self.global_rank = 1, 0
        self.current_epoch = current_epoch


@pytest.mark.parametrize(("world_size", "dropped"), [(1, False), (2, True)])
def test_a_last_batch_of_one_image_on_a_device_is_dropped(nih_folder: Path, world_size: int, dropped: bool) -> None:
    datamodule = ready(nih_folder)  # 18 training images, batches of 4: 2 are left of 18, and 1 of 9
    trainer = _Trainer(training=True)
    trainer.world_size = world_size
    datamodule.trainer = trainer  # type: ignore[assignment]  # only these attributes are asked for
    assert datamodule.train_dataloader().drop_last is dropped


def test_only_training_batches_are_augmented_and_every_epoch_anew(nih_folder: Path) -> None:
    datamodule = ready(nih_folder, augmentation=Augmentation(), shuffle_seed=5)
    batch = next(iter(datamodule.val_dataloader()))
    results = []
    for trainer in (_Trainer(training=False), _Trainer(training=True), _Trainer(training=True, current_epoch=1)):
        datamodule.trainer = trainer  # type: ignore[assignment]  # only these two attributes are asked for
        sent = datamodule.on_before_batch_transfer(batch, 0)
        results.append(datamodule.on_after_batch_transfer(sent, 0)["image"])
    assert results[0] is batch["image"]
    assert not torch.equal(results[1], results[2])
    augmentation = Augmentation()
    again = augmentation(batch["image"], augmentation.draw(batch["index"], seed=5, epoch=1))
    assert torch.equal(results[2], again)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("image_size", 31, r"`data\.image_size` to be at least 32 but got 31"),
        ("batch_size", 0, r"`data\.batch_size` to be at least 1 but got 0"),
        ("seed", -1, r"`data\.seed` to be at least 0 but got -1"),
        ("shuffle_seed", -1, r"`data\.shuffle_seed` to be at least 0 but got -1"),
        ("num_workers", -1, r"`data\.num_workers` to be at least 0 but got -1"),
        ("subset_images", (10, 10), r"`data\.subset_images` to be three positive numbers but got \[10, 10\]"),
        ("subset_images", (10, 0, 1), r"`data\.subset_images` to be three positive numbers"),
        ("interpolation", "area", "`interpolation` to be one of"),
        ("split", "random", r"`data\.split` to be one of"),
        ("on_missing", "ignore", r"`data\.on_missing` to be one of \['error', 'skip'\] but got 'ignore'"),
        ("on_bad_image", "ignore", r"`data\.on_bad_image` to be one of \['error', 'skip'\] but got 'ignore'"),
        ("cache", True, r"`data\.cache_dir` beside `data\.cache`"),
        ("labels", "Mass", "list of labels but got the text 'Mass'"),
    ],
)
def test_a_wrong_setting_is_refused_before_anything_is_read(option: str, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        module(Path("absent"), **{option: value})


def test_splits_are_the_same_whatever_images_are_on_disk(make_nih: Callable[..., Path], tmp_path: Path) -> None:
    found = []
    for name, lost in (("whole", 0), ("partial", 7)):
        folder = make_nih(tmp_path / name, patients=30)
        for path in sorted((folder / "images").iterdir())[:lost]:
            path.unlink()
        table = ready(folder, on_missing="skip").manifest.table
        found.append(table.set_index("image_id")["split"])
    whole, partial = found
    assert len(partial) == len(whole) - 7
    assert partial.equals(whole[partial.index])
