"""Brings every Triton server to the catalog's state, after a restart or a release that died."""

from visionops_assets.catalog.releases import champion, try_lock_releases
from visionops_assets.catalog.rollouts import active_rollout, seconds_since_last_end
from visionops_assets.releasing.controller import Controller
from visionops_assets.releasing.engine_following import follow_engines
from visionops_assets.releasing.replica import Version

CANDIDATE_GRACE_S = 15.0
"""Time for which an ended canary or shadow stays loaded: gateways notice its end sooner."""


def converge(controller: Controller, model_name: str) -> str:
    """Load missing versions, unload ended ones, and say what was found.

    Does nothing while a release is under way.

    Raises:
        ServerUnreachableError: the catalog or the object store does not answer. A silent Triton
            server is only reported.
    """
    replicas, publisher = controller.replicas(model_name), controller.publisher(model_name)
    with controller.catalog.begin() as session:
        if not try_lock_releases(session, model_name):
            return "A release is under way."
        current = champion(session, model_name)
        rollout = active_rollout(session, model_name)
        ended_s_ago = seconds_since_last_end(session, model_name)
        if current is None:
            left = replicas.forget_rehearsals()
            return " ".join([f"No version of {model_name!r} was released yet.", *left])
        served = publisher.released(current)
        found = replicas.converge(served)
        found += follow_engines(controller, session, current, served)
        if rollout is not None:
            number = rollout.model_version
            candidate = Version(number, lambda: publisher.repository.read(number))
            found += replicas.converge_candidate(candidate, rollout.role)
        elif ended_s_ago is None or ended_s_ago > CANDIDATE_GRACE_S:
            found += replicas.unload_candidate()
            # The one before may still be answering requests.
            kept = {current.model_version, current.previous_version or current.model_version}
            found += replicas.forget_steps(kept)
    if found:
        return " ".join(found)
    return f"Version {current.model_version} is served, as it should be."
