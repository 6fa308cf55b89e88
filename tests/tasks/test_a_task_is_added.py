"""A task is added by one folder and one name, a model of it by one file: nothing else changes."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import visionops_assets
from tests.declared import declare

PACKAGE = Path(visionops_assets.__file__).parent
ROOM = {
    "__init__.py": 'SCORES = ("accuracy",)',
    "annotate.py": "from visionops_assets.tasks.classification.annotate import TASK",
    "doubt.py": "from visionops_assets.tasks.classification.doubt import TASK",
    "judge.py": "from visionops_assets.tasks.classification.judge import TASK",
    "learn.py": "from visionops_assets.tasks.classification.learn import TASK",
    # It answers under a name of its own, and says how sure it is.
    "serve.py": """
import numpy as np
from visionops_assets.contracts.tensors import TensorSpec
from visionops_assets.tasks.classification.serve import TASK as CLASSES

SIDE, SURE = TensorSpec("SIDE", "BYTES"), TensorSpec("SURE", "FP32")


class _Serving(type(CLASSES)):
    answers = (SIDE, SURE)

    def tensors(self, outputs, card):
        found = self.decode(outputs, card)
        return {
            "SIDE": lambda: np.array([[each.label.encode()] for each in found], np.object_),
            "SURE": lambda: np.array([[each.confidence] for each in found], np.float32),
        }


TASK = _Serving()
""",
}
STEPS = """
import json, sys
from pathlib import Path
import numpy as np
from visionops_assets.contracts import Candidate
from visionops_assets.models import read_models
from visionops_assets.releasing.pipeline import PipelineOptions, pipeline_files
from visionops_assets.stages.evaluation.assets import rule_of
from visionops_assets.stages.evaluation.gate import judge
from visionops_assets.stages.evaluation.rules import HoldoutAnswers
from visionops_assets.tasks.registry import judging, serving
from visionops_assets.tasks.running import export, lesson_of, open_onnx, run
from visionops_assets.vision.recipe import TrainingConfig
from visionops_assets.vision.training import train

folder, templates = map(Path, sys.argv[1:])
(model,) = read_models(folder)
rng = np.random.default_rng(0)
labels = [("left",) if number % 2 else ("right",) for number in range(240)]
images = rng.integers(0, 60, (240, 16, 16, 3)).astype(np.uint8)
for image, (side,) in zip(images, labels):
    image[:, slice(0, 8) if side == "left" else slice(8, 16)] += 120
classes, groups = ("left", "right"), np.array([str(number) for number in range(240)])
trained = train(
    lesson_of(model.task), images[:160], judging(model.task).targets(labels[:160], classes),
    list(groups[:160]), classes=classes, spec=model.frames, snapshot_id="ds-1",
    config=TrainingConfig(steps=60, seed=1, threads=1), on_round=lambda _: None,
)
card, unseen, truth = trained.card, images[160:], labels[160:]
given = serving(model.task).decode(run(trained.module, unseen, card), card)
verdict = judge(
    Candidate(model_name=model.name, model_version=1, mlflow_run_id="r", snapshot_id="ds-1"),
    HoldoutAnswers(judging(model.task).evaluate(given, truth, classes), groups[160:]),
    None, rule_of(model),
)
export(trained.module, card, folder / "model.onnx")
outputs = open_onnx(folder / "model.onnx", card).predict(unseen)
served = {name: make() for name, make in serving(model.task).tensors(outputs, card).items()}
files = pipeline_files(templates, model.name, 1, card, PipelineOptions(1, 1))
print(json.dumps({
    "task": card.task,
    "state": verdict.state.value,
    "sides": [side.decode() for (side,) in served["SIDE"]],
    "truth": [side for (side,) in truth],
    "config": files["config.pbtxt"].decode(),
}))
"""


def test_a_task_of_ones_own_learns_is_judged_exported_and_served(tmp_path: Path) -> None:
    copy = tmp_path / "code" / PACKAGE.name
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    room = copy / "tasks" / "sides"
    room.mkdir()
    for name, text in ROOM.items():
        (room / name).write_text(text)
    registry = copy / "tasks" / "registry.py"
    named = registry.read_text().replace('("classification",', '("sides", "classification",')
    registry.write_text(named)
    models = declare(tmp_path / "models", "sides-a", task="sides", frames={"size_px": 16})

    templates = PACKAGE.parent / "triton_models" / "classifier"
    command = [sys.executable, "-c", STEPS, str(models), str(templates)]
    environment = {"PYTHONPATH": str(copy.parent), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert (found["task"], found["state"]) == ("sides", "passed")
    assert found["sides"] == found["truth"]
    assert '{ name: "SIDE" data_type: TYPE_STRING dims: [ 1 ] }' in found["config"]
