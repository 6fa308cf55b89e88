"""The gate: candidate and champion on the same frozen holdout."""

import dagster as dg

from visionops_assets.stages.evaluation.assets import gate, model_evaluation

definitions = dg.Definitions(assets=[model_evaluation], asset_checks=[gate])
