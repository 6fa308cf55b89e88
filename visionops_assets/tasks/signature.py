"""The whole interface of a model: the tensors of its task with those of every model."""

from dataclasses import dataclass

from visionops_assets.contracts import ModelCard
from visionops_assets.contracts.tensors import (
    EMBEDDING,
    IDENTITY,
    IMAGE,
    NETWORK_EMBEDDING,
    NETWORK_INPUT,
    TensorSpec,
)
from visionops_assets.tasks.registry import serving


@dataclass(frozen=True)
class Signature:
    """All tensors of a model, each group in its order: of its network, and as it is served."""

    network_input: TensorSpec
    network: tuple[TensorSpec, ...]
    image: TensorSpec
    served: tuple[TensorSpec, ...]


def signature_of(card: ModelCard) -> Signature:
    """Return the tensors of a model, with numbers for all dimensions."""
    return Signature(
        network_input=NETWORK_INPUT.sized(card.sizes),
        network=tuple(each.sized(card.sizes) for each in network_outputs(card.task)),
        image=IMAGE,
        served=tuple(each.sized(card.sizes) for each in served_outputs(card.task)),
    )


def network_outputs(task: str) -> tuple[TensorSpec, ...]:
    """Return the outputs of a task's networks."""
    return (*serving(task).network, NETWORK_EMBEDDING)


def served_outputs(task: str) -> tuple[TensorSpec, ...]:
    """Return the outputs of a task's served models."""
    return (*serving(task).answers, EMBEDDING, *IDENTITY)
