"""Note the TensorRT engines of each version: built or not, served or refused."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


ACTIONS = (
    "promoted, rolled_back, refused, failed, canary_started, shadow_started, rollout_promoted, "
    "rollout_ended"
)


def upgrade() -> None:
    """Add the table. Engines of before were named by a setting, and are built again."""
    op.create_table(
        "engine",
        sa.Column("model_name", sa.String, nullable=False),
        sa.Column("model_version", sa.BigInteger, nullable=False),
        sa.Column("gpu", sa.String, nullable=False, comment="Node label nvidia.com/gpu.product."),
        sa.Column("recipe", sa.String, nullable=False, comment="Builder's image and precision."),
        sa.Column(
            "state", sa.String, nullable=False, comment="ready, serving, unusable, failed, refused."
        ),
        sa.Column("reason", sa.String, nullable=False, comment="Why it does not serve, or empty."),
        sa.Column("key", sa.String, comment="Its folder's name. None if none was built."),
        sa.Column("plan_sha256", sa.String, comment="Of the engine. None if none was built."),
        sa.Column(
            "updated_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()
        ),
        sa.PrimaryKeyConstraint("model_name", "model_version", "gpu", name="pk_engine"),
    )
    _say_actions(f"{ACTIONS}.", f"{ACTIONS}, engine_served, engine_refused.")


def downgrade() -> None:
    """Drop it: ONNX is served."""
    op.drop_table("engine")
    _say_actions(f"{ACTIONS}, engine_served, engine_refused.", f"{ACTIONS}.")


def _say_actions(before: str, after: str) -> None:
    op.alter_column("release_event", "action", comment=after, existing_comment=before)
