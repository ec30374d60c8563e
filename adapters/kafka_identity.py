"""`[agency.kafka]`: who an agency is to Kafka, where one adapter serves several and each has credentials of its own.

Without it the adapter's own settings (SUBAK_KAFKA_USER and the others) hold for the agency. A credentials file is read
again for each new connection: `subak agency rotate` replaces it, and no event waits for a restart.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from adapters.secrets import WrongSecret, read_secret
from bus.kafka.security import Credentials
from schemas.strict import Strict


class KafkaIdentity(Strict):
    """`[agency.kafka]`: a credentials file, or a user and a password."""

    credentials_file: str | None = None
    """A TOML file with `user` and `password`, as `subak agency add --out` writes it."""
    user: str | None = None
    """The user's name on the cluster, such as `agency-public-works.1`."""
    user_env: str | None = None
    """The environment variable that holds it."""
    user_file: str | None = None
    """The file that holds it."""
    password: str | None = Field(default=None, repr=False)
    """The user's password."""
    password_env: str | None = None
    """The environment variable that holds it."""
    password_file: str | None = None
    """The file that holds it."""

    def credentials(self, folder: Path, environment: Mapping[str, str]) -> Credentials:
        """As a client takes them; files lie in `folder` where their paths are relative.

        Raises:
            WrongSecret: they are missing, or stated twice.
        """
        if self.credentials_file is None:
            return Credentials(
                user=read_secret(self, "user", folder, environment),
                password=read_secret(self, "password", folder, environment),
            )
        others = [key for key, value in self if key != "credentials_file" and value is not None]
        if others:
            raise WrongSecret(f"kafka states credentials_file and {', '.join(others)}: keep one of the two ways.")
        return Credentials(file=folder / self.credentials_file)
