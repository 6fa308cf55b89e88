"""How many wrong labels are found, and how many of those that are doubted are wrong.

Needs no running stack: of real pictures one label in twenty is made wrong, a network of the product
is trained on the four fifths that a snapshot would train on, and all labels are doubted by what it
sees. Beside it stands the pretrained network, which saw none of these pictures: the precision at
which each finds nine in ten.
"""

import numpy as np
import numpy.typing as npt

from benchmarks.garments import SIZE_PX, Pictures, pictures
from benchmarks.measure import Figure, Question, figure
from visionops_assets.contracts import PreprocessingSpec
from visionops_assets.contracts.models import FIRST_TASK
from visionops_assets.contracts.tensors import NETWORK_EMBEDDING
from visionops_assets.settings import Settings
from visionops_assets.tasks.registry import doubting, judging
from visionops_assets.tasks.running import lesson_of, run
from visionops_assets.vision.embedding import embed
from visionops_assets.vision.out_of_fold import out_of_fold, reduced
from visionops_assets.vision.recipe import TrainingConfig
from visionops_assets.vision.training import train

GARMENTS = 4_000
FLIPPED_SHARE = 0.05
SEEDS = range(3)
STEPS = 600
HOLDOUT_EVERY = 5
PRETRAINED_PX = 64
RECALL_GOAL_PERCENT, PRECISION_GOAL_PERCENT = 90.0, 50.0

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


def measure(_settings: Settings) -> list[Figure]:
    """Doubt the labels of each set, made wrong three times anew."""
    return [each for found in pictures(GARMENTS) for each in _of(found)]


def _of(found: Pictures) -> list[Figure]:
    pretrained = embed(list(found.frames), PRETRAINED_PX)
    recalls, precisions, pairs = [], [], []
    for seed in SEEDS:
        given, is_wrong = flipped(found.classes, seed)
        embeddings = _trained(found, given, seed)
        texts = [(str(each),) for each in given]
        alone = np.arange(len(given)).astype(np.str_)
        doubts = doubting(FIRST_TASK).doubts(embeddings, texts, alone)
        hits = int(is_wrong[[doubt.row for doubt in doubts]].sum())
        recalls.append((100 * hits / is_wrong.sum(), RECALL_GOAL_PERCENT))
        precisions.append((100 * hits / len(doubts), PRECISION_GOAL_PERCENT))
        ours, theirs = (_at_nine_in_ten(seen, given, is_wrong) for seen in (embeddings, pretrained))
        pairs.append((ours, theirs))
    return [
        figure(Question(f"wrong labels of {found.name} found", "%", "goal", 1.0), recalls),
        figure(Question(f"doubted labels of {found.name} wrong", "%", "goal", 1.0), precisions),
        figure(
            Question(f"precision at recall 0.9, {found.name}", "%", "pretrained network", 1.0),
            pairs,
        ),
    ]


def flipped(classes: Integers, seed: int) -> tuple[Integers, Flags]:
    """Make one label in twenty wrong: return the labels (N), and which are wrong (N)."""
    rng = np.random.default_rng(seed)
    count, kinds = len(classes), int(classes.max()) + 1
    rows = rng.choice(count, round(FLIPPED_SHARE * count), replace=False)
    given = classes.copy()
    given[rows] = (classes[rows] + rng.integers(1, kinds, len(rows))) % kinds
    return given, given != classes


def _trained(found: Pictures, given: Integers, seed: int) -> Floats:
    """Return what a network that is trained on these labels sees in all pictures (N, E)."""
    names = tuple(str(number) for number in range(int(given.max()) + 1))
    rows = np.flatnonzero(np.arange(len(given)) % HOLDOUT_EVERY)
    trained = train(
        lesson_of(FIRST_TASK),
        found.frames,
        judging(FIRST_TASK).targets([(str(given[row]),) for row in rows], names),
        [str(row) for row in rows],
        classes=names,
        spec=PreprocessingSpec(size_px=SIZE_PX),
        snapshot_id="ds-benchmark",
        config=TrainingConfig(steps=STEPS, seed=seed),
        on_round=lambda _: None,
        rows=rows,
    )
    outputs = run(trained.module, found.frames, trained.card)
    return outputs[NETWORK_EMBEDDING.name]


def _at_nine_in_ten(embeddings: Floats, given: Integers, is_wrong: Flags) -> float:
    """Return the share in percent of wrong labels among the least probable, when 9 in 10 are in."""
    alone = np.arange(len(given)).astype(np.str_)
    probabilities = out_of_fold(reduced(embeddings), given, alone)
    order = np.argsort(probabilities[np.arange(len(given)), given])
    hits = np.cumsum(is_wrong[order])
    needed = int(np.searchsorted(hits, 0.9 * is_wrong.sum())) + 1
    return float(100 * hits[needed - 1] / needed)
