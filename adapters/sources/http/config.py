"""`[[agency.source]]` with `kind = "http"`: where an agency's system POSTs its own records, how it proves itself."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from schemas.strict import Strict
from schemas.values import Text500


class HttpSourceConfig(Strict):
    """The keys of an HTTP source."""

    mapping: Text500
    """The mapping that makes events of records, relative to adapter.toml. A record's columns are its JSON members; of
    what lies deeper, `reporter.name`."""
    path: Annotated[str, StringConstraints(pattern=r"^(/[A-Za-z0-9._-]+)+$", max_length=200)] | None = None
    """Where it answers, under the adapter's address. Default: `/sources/<agency>/<name>`."""
    records: Annotated[str, StringConstraints(pattern=r"^[^.]+(\.[^.]+){0,9}$", max_length=200)] | None = None
    """Where the records lie in a body that wraps them, such as `data.items`. Default: the body is one, or a list."""
    records_max: int = Field(default=1000, ge=1, le=1000)
    """Records in one body. All are stored or none."""
    token: str | None = Field(default=None, repr=False)
    """A bearer token of at least 16 characters; or `secret` and its kin, one of the two."""
    token_env: str | None = None
    """The environment variable that holds the token."""
    token_file: str | None = None
    """The file that holds the token."""
    secret: str | None = Field(default=None, repr=False)
    """What its system signs with (HMAC-SHA256): `whsec_<base64>`, or any text of at least 24 bytes."""
    secret_env: str | None = None
    """The environment variable that holds the secret."""
    secret_file: str | None = None
    """The file that holds the secret."""
    signed: Literal["standard-webhooks", "body"] = "standard-webhooks"
    """What is signed. `standard-webhooks`: id, time and body, in the three headers of Standard Webhooks 1.0. `body`:
    the body alone, in `signature_header`, as many vendors do."""
    signature_header: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,100}$")] = "X-Hub-Signature-256"
    """Where the signature of a body stands: hexadecimal, with or without `sha256=` before it."""
    clock_seconds_max: int = Field(default=300, ge=1, le=86_400)
    """How far the sender's clock may be from this machine's, where it signs the time."""
    remember_days: int = Field(default=7, ge=1, le=400)
    """How long an `Idempotency-Key` stands for the body that it came with."""

    @model_validator(mode="after")
    def _has_one_proof(self) -> Self:
        tokens = any((self.token, self.token_env, self.token_file))
        secrets = any((self.secret, self.secret_env, self.secret_file))
        if tokens == secrets:
            raise ValueError("state either token (or token_env, token_file) or secret (or secret_env, secret_file)")
        return self
