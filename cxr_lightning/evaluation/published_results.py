"""Published results on NIH's official split; reports show them only beside comparable numbers."""

from cxr_lightning.evaluation.results import PublishedResult

_ORDER = (
    "Atelectasis",
    "Cardiomegaly",
    "Effusion",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pneumonia",
    "Pneumothorax",
    "Consolidation",
    "Edema",
    "Emphysema",
    "Fibrosis",
    "Pleural_Thickening",
    "Hernia",
)
"""Order of the findings in the rows below, as in these papers."""


def _published(name: str, source: str, mean: float, *auroc: float) -> PublishedResult:
    return PublishedResult(name, source, dict(zip(_ORDER, auroc, strict=True)), mean)


OFFICIAL_SPLIT_RESULTS: tuple[PublishedResult, ...] = (
    _published(
        "Wang et al. 2017",
        "Wang et al., ChestX-ray8, CVPR 2017; ResNet-50 on all 14 findings in the later version, arXiv:1705.02315v5",
        0.745,
        *(0.700, 0.810, 0.759, 0.661, 0.693, 0.669, 0.658, 0.799, 0.703, 0.805, 0.833, 0.786, 0.684, 0.872),
    ),
    _published(
        "Yao et al. 2018",
        "Yao et al., Weakly supervised medical diagnosis and localization from multiple resolutions, arXiv:1803.07703",
        0.761,
        *(0.733, 0.856, 0.806, 0.673, 0.777, 0.718, 0.684, 0.805, 0.711, 0.806, 0.842, 0.743, 0.724, 0.775),
    ),
    _published(
        "Gündel et al. 2018",
        "Gündel et al., Learning to recognize abnormalities in chest X-rays with location-aware dense networks, "
        "arXiv:1803.04565; DNetLoc",
        0.807,
        *(0.767, 0.883, 0.828, 0.709, 0.821, 0.758, 0.731, 0.846, 0.745, 0.835, 0.895, 0.818, 0.761, 0.896),
    ),
)
"""Published AUROC on NIH's test_list.txt. CheXNet's 0.841 is not included: it was measured on another, random split."""
