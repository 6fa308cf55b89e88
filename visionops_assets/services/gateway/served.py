"""The declared models as one gateway serves them, by their names."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from visionops_assets.catalog.connection import Catalog
from visionops_assets.errors import NotFoundError
from visionops_assets.models import ModelDeclaration
from visionops_assets.services.gateway.inference import TritonChannel
from visionops_assets.services.gateway.limits import Limits
from visionops_assets.services.gateway.metrics import GatewayMetrics
from visionops_assets.services.gateway.predictor import Predictor
from visionops_assets.services.gateway.rollouts import RolloutWatch
from visionops_assets.services.gateway.unserved import Unserved


@dataclass(frozen=True)
class ServedModel:
    """A model, what answers for it, and the rollouts that it watches."""

    declaration: ModelDeclaration
    predictor: Predictor
    watch: RolloutWatch


class ServedModels:
    """All models of one Triton. The first one answers requests that name none."""

    def __init__(
        self,
        declared: Sequence[ModelDeclaration],
        triton: TritonChannel,
        catalog: Catalog,
        metrics: GatewayMetrics,
        limits: Limits,
    ) -> None:
        self._by_name: dict[str, ServedModel] = {}
        for model in declared:
            watch = RolloutWatch(catalog, model.name, metrics)
            unserved = Unserved(catalog, model)
            audited = model.monitoring.audit_percent
            predictor = Predictor(
                triton, watch, unserved, metrics, limits, model.name, model.task, audited
            )
            self._by_name[model.name] = ServedModel(model, predictor, watch)
        self.default = next(iter(self._by_name.values()))

    @property
    def declared(self) -> list[ModelDeclaration]:
        """Return the declarations, the default one first."""
        return [model.declaration for model in self._by_name.values()]

    def find(self, name: str | None) -> ServedModel:
        """Return a model by its name, the default one for None.

        Raises:
            NotFoundError: none of this name is declared.
        """
        if name is None:
            return self.default
        if name not in self._by_name:
            known = ", ".join(map(repr, self._by_name))
            raise NotFoundError(f"There is no model {name[:100]!r} here. There are: {known}.")
        return self._by_name[name]

    def start(self) -> None:
        """Begin to watch rollouts."""
        for model in self._by_name.values():
            model.watch.start()

    def stop(self) -> None:
        """Watch no more."""
        for model in self._by_name.values():
            model.watch.stop()

    async def close(self) -> None:
        """Give up comparisons under way."""
        await asyncio.gather(*(model.predictor.close() for model in self._by_name.values()))
