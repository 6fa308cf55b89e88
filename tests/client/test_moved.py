import importlib

import pytest

import visionops_client


@pytest.mark.parametrize("name", ["GatewayClient", "PredictedImage", "RefusedImage"])
def test_the_earlier_import_works_and_says_where_to_go(name: str) -> None:
    earlier = importlib.import_module("visionops_assets.client")
    with pytest.warns(DeprecationWarning, match=f"{name} from visionops_client"):
        found = getattr(earlier, name)
    assert found is getattr(visionops_client, name)


def test_every_name_of_the_package_is_there() -> None:
    for name in visionops_client.__all__:
        assert getattr(visionops_client, name).__module__.startswith("visionops_client.")
