"""The tensors of a model are said once: by its task, and by what all models have."""

import subprocess
import sys

import pytest

from visionops_assets.contracts import ModelCard, PreprocessingSpec
from visionops_assets.contracts.tensors import IMAGE, TensorSpec
from visionops_assets.tasks.registry import TASKS, judging, learning, serving
from visionops_assets.tasks.signature import served_outputs, signature_of

CARD = ModelCard(
    architecture="a",
    classes=("a", "b", "c"),
    embedding_size=96,
    spec=PreprocessingSpec(size_px=64),
    mean=(0, 0, 0),
    std=(1, 1, 1),
    snapshot_id="s",
    seed=0,
)


def test_dimensions_follow_from_the_card() -> None:
    signature = signature_of(CARD)
    assert signature.network_input.dims == (3, 64, 64)
    assert signature.network[-1] == TensorSpec("embedding", "FP32", (96,))
    assert signature.image == IMAGE
    dims = {each.name: each.dims for each in signature.served}
    assert (dims["PROBABILITIES"], dims["EMBEDDING"]) == ((3,), (96,))


def test_a_dimension_without_a_number_has_no_size() -> None:
    with pytest.raises(ValueError, match="classes"):
        _ = TensorSpec("x", "FP32", ("classes",)).dims


@pytest.mark.parametrize(
    ("datatype", "of_config", "of_numpy"),
    [
        ("BYTES", "TYPE_STRING", "bytes"),
        ("FP32", "TYPE_FP32", "float32"),
        ("INT64", "TYPE_INT64", "int64"),
    ],
)
def test_a_type_has_a_name_in_each_protocol(datatype: str, of_config: str, of_numpy: str) -> None:
    spec = TensorSpec("x", datatype)  # type: ignore[arg-type]
    assert (spec.config_type, spec.numpy_name) == (of_config, of_numpy)


@pytest.mark.parametrize("task", TASKS)
def test_no_two_tensors_of_a_task_have_one_name(task: str) -> None:
    names = [each.name for each in served_outputs(task)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("task", TASKS)
def test_each_part_of_a_task_imports_no_more_than_it_may(task: str) -> None:
    """Triton has no pandas, SciPy or PyTorch, and sensors do not wait for PyTorch."""
    program = (
        "import sys; from visionops_assets.tasks import registry, signature; "
        "registry.{part}({task!r}); signature.served_outputs({task!r}); "
        "print(*{{name.partition('.')[0] for name in sys.modules}})"
    )
    refused = {"serving": {"torch", "pandas", "scipy", "cv2"}, "judging": {"torch"}}
    for part, slow in refused.items():
        done = subprocess.run(
            [sys.executable, "-c", program.format(part=part, task=task)],
            capture_output=True,
            text=True,
            check=True,
        )
        assert not set(done.stdout.split()) & slow, part


@pytest.mark.parametrize("part", [serving, judging, learning])
def test_an_unknown_task_is_refused_with_those_there_are(part: object) -> None:
    with pytest.raises(ValueError, match="choose one of classification, multilabel"):
        part("sorcery")  # type: ignore[operator]
