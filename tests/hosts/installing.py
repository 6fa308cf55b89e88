"""Makes the pods of the manifests, and runs the Job that prepares the catalog."""

import subprocess
from contextlib import AbstractContextManager
from dataclasses import replace
from itertools import product
from pathlib import Path

from tests.hosts.cluster import KINDS, Cluster
from tests.hosts.containers import (
    Container,
    Image,
    app_image,
    mount_points,
    programs_of,
    triton_image,
)
from tests.hosts.kubelet import Kubelet, Pace, Pod
from tests.hosts.load import TRITON
from tests.hosts.names import Names
from tests.hosts.network import ADDED, HOSTS, JOBS, Network, Place, layout, place_of
from tests.hosts.pods import PodTemplate
from visionops_assets.resources.signing import KEY_FILE
from visionops_assets.stack.plan import Plan

HEADLESS = "triton-replicas"
PREPARE_WITHIN_S = 120.0


class Installer:
    """Knows where containers of this run lie."""

    def __init__(self, cluster: Cluster, stack: Plan, network: Network, names: Names) -> None:
        self._cluster = cluster
        self._network = network
        self._names = names
        self._folder = stack.home / "pods"
        self._programs = programs_of(stack.settings)
        self._stack = stack

    def mount_points(self) -> AbstractContextManager[None]:
        """Make, for the length of a block, the folders that pods mount their volumes on."""
        templates = [self._cluster.prepare, *self._cluster.templates.values()]
        templates += [sidecar for each in templates for sidecar in each.sidecars]
        return mount_points(Path(path) for each in templates for path in each.folders)

    def kubelet(self, pace: Pace) -> Kubelet:
        """Make one pod of each kind on each host, and a Triton to be added; none is started yet."""
        images = dict.fromkeys(KINDS, app_image())
        images[TRITON] = triton_image(self._stack, self._stack.home / "triton")
        places = layout(KINDS)
        pods: dict[str, Pod] = {}
        added: list[Pod] = []
        kubelet = Kubelet(pods, added, self._network)

        def tell_names() -> None:
            ready = [pod.address for pod in kubelet.endpoints(TRITON)]
            self._names.write({HEADLESS: ready})

        def pod(kind: str, place: Place) -> Pod:
            template = self._cluster.templates[kind]
            container = self._container(template, images[kind], place.name)
            sidecars = [
                self._container(self._signed_here(sidecar), app_image(), place.name)
                for sidecar in template.sidecars
            ]
            return Pod(template, place, container, pace, tell_names, sidecars)

        for kind, host in product(KINDS, HOSTS):
            place = places[place_of(kind, host)]
            pods[place.name] = pod(kind, place)
        added.append(pod(TRITON, places[ADDED]))
        return kubelet

    def _signed_here(self, sidecar: PodTemplate) -> PodTemplate:
        """Give a sidecar the key that releases of this run are signed with, by no Secret."""
        key = {"VISIONOPS_SIGNING_KEY_FILE": str(self._stack.home / KEY_FILE)}
        return replace(sidecar, environment=dict(sidecar.environment) | key)

    def prepare(self) -> None:
        """Run the Job `prepare` to its end."""
        container = self._container(self._cluster.prepare, app_image(), JOBS)
        process = container.start()
        try:
            exit_code = process.wait(PREPARE_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        assert exit_code == 0, container.log.read_text()

    def _container(self, template: PodTemplate, image: Image, place: str) -> Container:
        return Container(
            template,
            image,
            self._network,
            place,
            self._folder / place,
            self._names.path,
            self._programs,
        )
