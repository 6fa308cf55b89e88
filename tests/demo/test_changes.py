import numpy as np
import pytest

from visionops_assets.contracts import PreprocessingSpec
from visionops_assets.demo.changes import changed
from visionops_assets.demo.media import DemoFile, digits
from visionops_assets.vision.monitoring.quality import QUALITY_MEASURES, measure_quality
from visionops_assets.vision.preprocessing import Frame, decode_frame, preprocess_image

SPEC = PreprocessingSpec(size_px=32)


@pytest.fixture(scope="module")
def scans() -> list[DemoFile]:
    return digits()[1][:20]


def frame(file: DemoFile) -> Frame:
    return preprocess_image(file.data, SPEC, max_pixels=1_000_000)


def test_a_changed_image_keeps_name_and_label_and_has_less_contrast_and_more_noise(
    scans: list[DemoFile],
) -> None:
    rng = np.random.default_rng(0)
    after = [changed(file, rng) for file in scans]
    assert [(f.name, f.label) for f in after] == [(f.name, f.label) for f in scans]
    old, new = (
        np.array([measure_quality(frame(file)) for file in files]) for files in (scans, after)
    )
    contrast, noise = (QUALITY_MEASURES.index(measure) for measure in ("contrast", "noise"))
    assert new[:, contrast].mean() < old[:, contrast].mean()
    assert new[:, noise].mean() > old[:, noise].mean()


def test_each_change_is_another_image_and_a_seed_gives_the_same_ones(scans: list[DemoFile]) -> None:
    rng = np.random.default_rng(0)
    twice = [changed(scans[0], rng).data for _ in range(2)]
    assert twice[0] != twice[1]
    assert changed(scans[0], np.random.default_rng(0)).data == twice[0]
    assert decode_frame(twice[0]).shape == (32, 32, 3)
