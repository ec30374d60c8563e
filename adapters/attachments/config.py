"""`[adapter.attachments]`: where photos and documents are kept, and how large they may be."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field

from adapters.attachments.content import MEDIA_TYPES
from adapters.secrets import WrongSecret, read_secret
from schemas.strict import Strict
from schemas.values import HttpUrl, Text200, Text500


class AttachmentsConfig(Strict):
    """The store, and its bounds."""

    store: Text500
    """A folder, relative to adapter.toml, or `s3://<bucket>/<prefix>`."""
    public_url: HttpUrl
    """The address under which others read the store: an attachment's `url` is this, a slash and its SHA-256. Who may
    read there is that server's to say."""
    bytes_max: int = Field(default=20 * 1024 * 1024, ge=1, le=100 * 1024 * 1024)
    """A larger file is refused."""
    media_types: Annotated[tuple[Text200, ...], Field(min_length=1)] = MEDIA_TYPES
    """The kinds of file that are taken, told by their content."""
    uploads_max: int = Field(default=8, ge=1, le=1000)
    """Files on their way at once. Further senders are asked to come again."""
    wait_seconds: float = Field(default=120.0, gt=0, le=3600)
    """How long a file may take to arrive."""
    endpoint: Text500 | None = None
    """S3: the address of a store that is not Amazon's, such as `https://s3.city.example`."""
    region: Text200 = "us-east-1"
    """S3: the region, which most other stores ignore."""
    access_key_id: Text200 | None = None
    """S3: who the adapter is. Without it the environment's own credentials count."""
    secret_access_key: str | None = Field(default=None, repr=False)
    """S3: its secret."""
    secret_access_key_env: str | None = None
    """The environment variable that holds the secret."""
    secret_access_key_file: str | None = None
    """The file that holds the secret."""
    allow_http: bool = False
    """S3: whether the endpoint may be called unencrypted."""

    @property
    def in_s3(self) -> bool:
        """Whether the store is S3's."""
        return self.store.startswith("s3://")

    def resolved(self, folder: Path, environment: Mapping[str, str]) -> AttachmentsConfig:
        """With the folder absolute and the secret read.

        Raises:
            WrongSecret: what is stated does not fit together, in a sentence.
        """
        if unknown := [name for name in self.media_types if name not in MEDIA_TYPES]:
            raise WrongSecret(f"media_types: {unknown[0][:100]!r} cannot be told from content. Known: {MEDIA_TYPES}.")
        if not self.in_s3:
            if "://" in self.store:
                raise WrongSecret(f"store: {self.store[:100]!r} is neither a folder nor s3://<bucket>/<prefix>.")
            return self.model_copy(update={"store": str(folder / self.store)})
        if self.endpoint is not None and not self.endpoint.startswith("https://") and not self.allow_http:
            raise WrongSecret("endpoint: it is not https. Use https, or state allow_http = true.")
        if self.access_key_id is None:
            return self
        secret = read_secret(self, "secret_access_key", folder, environment)
        return self.model_copy(
            update={"secret_access_key": secret, "secret_access_key_env": None, "secret_access_key_file": None}
        )
