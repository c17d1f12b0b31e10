"""What resume=auto does is said in the same words wherever it is said."""

from pathlib import Path

from cxr_lightning.app.train_settings import TrainSettings

ROOT = Path(__file__).parents[3]


def test_resuming_is_described_alike_everywhere() -> None:
    words = "go on with the newest run of the same settings that is unfinished or is to train longer"
    assert words in (TrainSettings.model_fields["resume"].description or "")
    for file in ("docs/settings.md", "conf/train.yaml", "conf/hydra/train.yaml"):
        content = " ".join((ROOT / file).read_text().split())
        assert words in content, file
        assert "newest unfinished run" not in content, file
