import subprocess
import sys

import numpy as np
import pytest

from cxr_lightning.phantom.spec import PhantomSpec, random_stream


def test_name_states_every_choice() -> None:
    assert PhantomSpec(seed=7, image_size=128).name == "phantom-v1-seed7-1000-200-400-128px"


@pytest.mark.parametrize(
    ("field", "value"),
    [("seed", -1), ("seed", 2**32), ("image_size", 63), ("train_images", 59), ("val_images", 19), ("test_images", 39)],
)
def test_too_small_or_large_numbers_are_refused(field: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"Expected `{field}` of the synthetic set .* but got {value}"):
        PhantomSpec(**{field: value})


def test_a_truth_value_is_no_number_of_images() -> None:
    with pytest.raises(ValueError, match=r"whole number from 60 .* but got True"):
        PhantomSpec(train_images=True)


def test_streams_depend_on_their_key_only() -> None:
    first = random_stream(3, 5, "pose").random(4)
    assert np.array_equal(first, random_stream(3, 5, "pose").random(4))
    assert not np.array_equal(first, random_stream(3, 5, "film").random(4))
    assert not np.array_equal(first, random_stream(3, 6, "pose").random(4))
    assert not np.array_equal(first, random_stream(4, 5, "pose").random(4))


def test_importing_the_package_loads_neither_torch_nor_pandas() -> None:
    program = "import sys, cxr_lightning.phantom; print(sorted({'torch', 'pandas', 'scipy'} & set(sys.modules)))"
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "[]"
