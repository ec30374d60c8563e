"""Who we are to Kafka and how we know that it is Kafka: TLS, and a user with a password or a client certificate.

Three protocols, no more: PLAINTEXT for one machine, SASL_SSL (SCRAM-SHA-512 over TLS) and SSL (mutual TLS) for a city.
A credentials file is read again for each new client. A client's certificate that changed is used for every connection
from then on, of clients that run already too: an operator renews it by replacing the files, and no process must start
again for that. A changed CA counts for new clients. No password is in a representation, a log or an error.
"""

from __future__ import annotations

import contextlib
import ssl
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from bus.logs import get_logger
from schemas.failures import Misconfigured

log = get_logger("security")

Protocol = Literal["PLAINTEXT", "SSL", "SASL_SSL"]

MECHANISM = "SCRAM-SHA-512"


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """A user and its password: stated, or in a file as `subak agency add` writes it."""

    user: str = ""
    password: str = field(default="", repr=False)
    file: Path | None = None
    """TOML with `user` and `password`. Read each time, so that it can be replaced under a running process."""

    def read(self) -> tuple[str, str]:
        """The user and the password, as they are now.

        Raises:
            Misconfigured: the file cannot be read, or lacks one of them. The sentence holds no secret.
        """
        if self.file is None:
            return self.user, self.password
        try:
            found = tomllib.loads(self.file.read_text(encoding="utf-8"))
        except OSError as error:
            raise Misconfigured(f"the credentials file {self.file} cannot be read: {error.strerror}.") from error
        except ValueError:
            raise Misconfigured(
                f'{self.file} is not TOML. It needs two lines: user = "...", password = "...".'
            ) from None
        user, password = found.get("user"), found.get("password")
        if not (isinstance(user, str) and user and isinstance(password, str) and password):
            raise Misconfigured(f'{self.file} needs two lines: user = "..." and password = "...".')
        return user, password


@dataclass(frozen=True, kw_only=True)
class Security:
    """How a client proves who it is, and whom it trusts."""

    protocol: Protocol = "PLAINTEXT"
    credentials: Credentials | None = None
    """For SASL_SSL."""
    ca_file: Path | None = None
    """The certificates (PEM) that sign the brokers'. None: those that the system trusts."""
    certificate_file: Path | None = None
    """The client's certificate, with its chain (PEM): for SSL, where the certificate is who we are."""
    key_file: Path | None = None
    """Its key (PEM, without a passphrase)."""

    def check(self) -> None:
        """Refuse what cannot work.

        Raises:
            Misconfigured: something is missing, or stands there for nothing.
        """
        if self.protocol == "SSL" and not (self.certificate_file and self.key_file):
            raise Misconfigured(
                "SSL without a user means that the client's certificate says who it is: set "
                "SUBAK_KAFKA_CERTIFICATE_FILE and SUBAK_KAFKA_KEY_FILE."
            )
        if self.protocol == "PLAINTEXT" and (self.credentials or self.ca_file or self.certificate_file):
            raise Misconfigured(
                "a user, a CA or a certificate for Kafka is stated, and the protocol is PLAINTEXT, which would send "
                "nothing of it. Set SUBAK_KAFKA_SECURITY_PROTOCOL to SASL_SSL or SSL."
            )
        if bool(self.certificate_file) != bool(self.key_file):
            raise Misconfigured("a client certificate and its key belong together: state both, or none.")

    @property
    def who(self) -> str:
        """Who we are, in words, for an error."""
        if self.protocol == "PLAINTEXT":
            return "nobody (PLAINTEXT)"
        if self.protocol == "SSL":
            return f"the certificate {self.certificate_file}"
        try:
            return f"the user {self.credentials.read()[0]}" if self.credentials else "no user"
        except Misconfigured:
            return f"the user in {self.credentials.file}" if self.credentials else "no user"

    def ssl_context(self) -> ssl.SSLContext | None:
        """What checks the broker and carries our certificate; None for PLAINTEXT.

        Raises:
            Misconfigured: a file is missing or no certificate.
        """
        if self.protocol == "PLAINTEXT":
            return None
        files = (self.ca_file, self.certificate_file, self.key_file)
        return _STANDING.setdefault(files, _Standing(*files)).current()

    def login(self) -> tuple[str, str]:
        """The user and the password, as they are now.

        Raises:
            Misconfigured: they are missing. An adapter may go without, where each of its agencies has its own.
        """
        user, password = self.credentials.read() if self.credentials is not None else ("", "")
        if not (user and password):
            raise Misconfigured(
                "SASL_SSL needs a user and its password: set SUBAK_KAFKA_CREDENTIALS_FILE, or SUBAK_KAFKA_USER with "
                "SUBAK_KAFKA_PASSWORD or SUBAK_KAFKA_PASSWORD_FILE."
            )
        return user, password

    def options(self) -> dict[str, Any]:
        """Options of every client of aiokafka.

        Raises:
            Misconfigured: a file cannot be read.
        """
        if self.protocol == "PLAINTEXT":
            return {}
        found: dict[str, Any] = {"security_protocol": self.protocol, "ssl_context": self.ssl_context()}
        if self.protocol == "SASL_SSL":
            user, password = self.login()
            found |= {"sasl_mechanism": MECHANISM, "sasl_plain_username": user, "sasl_plain_password": password}
        return found


class _Standing:
    """One context for all clients of the same files: each connection that they make uses it as it is then."""

    def __init__(self, ca: Path | None, certificate: Path | None, key: Path | None) -> None:
        self._files = (ca, certificate, key)
        self._context: ssl.SSLContext | None = None
        self._changed: tuple[float, ...] = ()

    def current(self) -> ssl.SSLContext:
        """The context with the files as they are now. A pair of which one half is new waits for the other.

        Raises:
            Misconfigured: the files could not be used, now or ever before.
        """
        changed = tuple(_changed(path) for path in self._files)
        if self._context is not None and changed == self._changed:
            return self._context
        try:
            fresh = _context(*self._files)
            _, certificate, key = self._files
            if self._context is not None and certificate is not None and changed[0] == self._changed[0]:
                self._context.load_cert_chain(certificate, key, password=_no_passphrase)
            else:
                self._context = fresh
        except (Misconfigured, OSError) as error:
            if self._context is None:
                raise
            log.warning("certificates_not_renewed", error=str(error))
        else:
            self._changed = changed
        return self._context


_STANDING: dict[tuple[Path | None, Path | None, Path | None], _Standing] = {}
"""Of each set of files (CA, certificate, key) that this process uses, the one context."""


def renew_certificates() -> None:
    """Take certificates that changed into the contexts of clients that run: their next connections show them."""
    for standing in list(_STANDING.values()):
        with contextlib.suppress(Misconfigured):  # it never worked; whoever asked was told
            standing.current()


def _context(ca: Path | None, certificate: Path | None, key: Path | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=None if ca is None else str(ca))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if certificate is not None:
            context.load_cert_chain(certificate, key, password=_no_passphrase)
    except (OSError, ValueError) as error:
        named = ", ".join(str(path) for path in (ca, certificate, key) if path is not None)
        raise Misconfigured(f"the certificates for Kafka ({named}) cannot be used: {error}.") from error
    return context


def _no_passphrase() -> str:
    """A key with a passphrase would make OpenSSL ask for it on the terminal, and wait for ever."""
    raise ValueError("the key has a passphrase; store it without one, readable by its owner alone")


def _changed(path: Path | None) -> float:
    """When the file changed last; 0 where there is none."""
    try:
        return path.stat().st_mtime if path is not None else 0.0
    except OSError:
        return 0.0
