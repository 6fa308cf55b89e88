"""Who is told of a page, and Alertmanager's configuration: of one machine, and of a cluster."""

from dataclasses import dataclass
from pathlib import Path

from visionops_assets.errors import SettingsError
from visionops_assets.settings import Settings
from visionops_assets.stack.paths import write_private
from visionops_assets.stack.templates import render


@dataclass(frozen=True)
class Mail:
    """Mail to people: comma-separated addresses, the sender, the server as host:port, its login."""

    to: str
    sender: str
    server: str
    user: str = ""
    password_file: str = ""


@dataclass(frozen=True)
class Pager:
    """The ways by which people are told; a file holds what is secret. Without any, nobody is."""

    slack_url_file: str = ""
    pagerduty_key_file: str = ""
    webhook_url: str = ""
    mail: Mail | None = None


def pager_of(settings: Settings, folder: Path) -> Pager:
    """Return the pager of the settings; what is secret is written into the folder.

    Raises:
        SettingsError: there are addresses for mail, and no sender, no server, or no password.
    """
    webhook_url = settings.pager_webhook_url
    return Pager(
        slack_url_file=_kept(settings, "pager_slack_url", folder),
        pagerduty_key_file=_kept(settings, "pager_pagerduty_key", folder),
        webhook_url=webhook_url.get_secret_value() if webhook_url else "",
        mail=_mail(settings, folder) if settings.pager_email_to else None,
    )


def configuration(
    project_root: Path, alerts_url: str, key_file: str, pager: Pager, *, beside_others: bool
) -> str:
    """Return Alertmanager's configuration.

    Args:
        project_root: folder that holds deploy/.
        alerts_url: where our service takes notifications.
        key_file: file of the bearer token that it wants.
        pager: who is told of pages.
        beside_others: whether others than ours send alerts there, as those of a cluster do.
    """
    template = project_root / "deploy" / "monitoring" / "alertmanager.yml.j2"
    return render(
        template,
        alerts_url=alerts_url,
        key_file=key_file,
        pager=pager if pager != Pager() else None,
        beside_others=beside_others,
    )


def _mail(settings: Settings, folder: Path) -> Mail:
    needed = {
        "VISIONOPS_PAGER_EMAIL_FROM": bool(settings.pager_email_from),
        "VISIONOPS_PAGER_EMAIL_SERVER": bool(settings.pager_email_server),
        "VISIONOPS_PAGER_EMAIL_PASSWORD": bool(
            settings.pager_email_password or not settings.pager_email_user
        ),
    }
    missing = [name for name, is_there in needed.items() if not is_there]
    if missing:
        raise SettingsError(
            f"VISIONOPS_PAGER_EMAIL_TO is set, and {' and '.join(missing)} is not. Mail needs it."
        )
    return Mail(
        to=settings.pager_email_to,
        sender=settings.pager_email_from,
        server=settings.pager_email_server,
        user=settings.pager_email_user,
        password_file=_kept(settings, "pager_email_password", folder),
    )


def _kept(settings: Settings, field: str, folder: Path) -> str:
    """Write a secret into a file of its own, and return the path; none without a secret."""
    secret = getattr(settings, field)
    if secret is None:
        return ""
    file = folder / field
    write_private(file, secret.get_secret_value())
    return str(file)
