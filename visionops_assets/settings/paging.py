"""Settings of who is told of a page: people, by chat, mail or pager."""

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings


class PagingSettings(BaseSettings):
    """Who is told when an alert calls for a person now."""

    pager_slack_url: SecretStr | None = Field(
        None, description="Incoming webhook of Slack, or of a chat that takes its messages."
    )
    pager_pagerduty_key: SecretStr | None = Field(
        None, description="Integration key of PagerDuty (Events API v2)."
    )
    pager_webhook_url: SecretStr | None = Field(
        None, description="Any URL that takes Alertmanager's notifications."
    )
    pager_email_to: str = Field(
        "", description="Addresses for mail, comma-separated. It needs a sender and a server."
    )
    pager_email_from: str = Field("", description="The sender of that mail.")
    pager_email_server: str = Field("", description="Mail server as host:port; it must offer TLS.")
    pager_email_user: str = Field("", description="User at the mail server; empty: no login.")
    pager_email_password: SecretStr | None = Field(None, description="Password of that user.")
