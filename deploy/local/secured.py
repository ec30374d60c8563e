"""The local Kafka as a city's is: TLS everywhere, SCRAM users, an authorizer that allows nothing by itself.

Two doors for clients, none in plaintext: SASL_SSL (a user and a password) and SSL with a client certificate, whose
common name is the user. The broker and its controller speak through the second. The administrator is a user that the
format tool writes into the first records of the metadata; every other is made through it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass
from pathlib import Path

from bus.kafka.security import Credentials, Security
from deploy.local.broker_settings import Properties
from deploy.local.certificates import Authority, Issued, write_secret

ADMINISTRATOR, BROKER = "admin", "broker"
_ITERATIONS = 8192


@dataclass(frozen=True)
class SecuredHome:
    """The CA, the broker's certificate and the administrator's credentials of one local Kafka, in one folder."""

    folder: Path

    def prepare(self) -> None:
        """Make what is not there yet."""
        if not self.credentials_file.exists():
            password = secrets.token_urlsafe(32)
            write_credentials(self.credentials_file, ADMINISTRATOR, password)
        authority = self.authority
        if not self._broker.certificate.exists():
            authority.issue(BROKER)
        store = self._broker.key.read_bytes() + self._broker.certificate.read_bytes()
        write_secret(self._store, store)

    @property
    def authority(self) -> Authority:
        """The CA, made where it is missing."""
        return Authority(self.folder)

    @property
    def ca_file(self) -> Path:
        """What clients trust."""
        return self.folder / "ca.pem"

    @property
    def credentials_file(self) -> Path:
        """The administrator's."""
        return self.folder / f"{ADMINISTRATOR}.toml"

    @property
    def administrator(self) -> Security:
        """The user who may do everything."""
        return self.user(self.credentials_file)

    def user(self, credentials_file: Path) -> Security:
        """A user's way in, with the credentials of a file."""
        return Security(protocol="SASL_SSL", credentials=Credentials(file=credentials_file), ca_file=self.ca_file)

    def scram(self) -> str:
        """The administrator's entry for the format tool: salted, since others on this machine see its arguments."""
        user, password = Credentials(file=self.credentials_file).read()
        salt = secrets.token_bytes(24)
        salted = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ITERATIONS)
        coded = [base64.b64encode(part).decode("ascii") for part in (salt, salted)]
        return f"SCRAM-SHA-512=[name={user},iterations={_ITERATIONS},salt={coded[0]},saltedpassword={coded[1]}]"

    def properties(self, *, port: int, mutual_port: int, controller_port: int, controller_only: bool) -> Properties:
        """What `server.properties` says on top of the plain one's, or instead of it."""
        found: Properties = {
            "listener.security.protocol.map": "BUS:SASL_SSL,MUTUAL:SSL,CONTROLLER:SSL",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self._store),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.ca_file),
            "ssl.enabled.protocols": "TLSv1.3,TLSv1.2",
            "listener.name.controller.ssl.client.auth": "required",
            "ssl.principal.mapping.rules": "RULE:^CN=([^,]+).*$/$1/",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "allow.everyone.if.no.acl.found": "false",
            "super.users": f"User:{BROKER};User:{ADMINISTRATOR}",
        }
        if controller_only:
            return found
        return {
            **found,
            "listeners": (
                f"BUS://127.0.0.1:{port},MUTUAL://127.0.0.1:{mutual_port},CONTROLLER://127.0.0.1:{controller_port}"
            ),
            "advertised.listeners": f"BUS://127.0.0.1:{port},MUTUAL://127.0.0.1:{mutual_port}",
            "inter.broker.listener.name": "MUTUAL",
            "listener.name.mutual.ssl.client.auth": "required",
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.bus.scram-sha-512.sasl.jaas.config": (
                "org.apache.kafka.common.security.scram.ScramLoginModule required;"
            ),
        }

    @property
    def _broker(self) -> Issued:
        return Issued(self.folder / f"{BROKER}.pem", self.folder / f"{BROKER}.key")

    @property
    def _store(self) -> Path:
        return self.folder / "broker.store.pem"


JAVA_OPTIONS = (
    # So that the broker's log tells who was refused what.
    "-Dorg.slf4j.simpleLogger.log.kafka.authorizer.logger=info",
    "-Dorg.slf4j.simpleLogger.log.org.apache.kafka.common.network.Selector=info",
    # Java uses the processor's own AES in what its second compiler made only. Without it TLS halves a stage's rate.
    "-XX:TieredStopAtLevel=4",
)
"""What the Java machine of a secured broker needs besides."""


def write_credentials(path: Path, user: str, password: str) -> None:
    """A credentials file as every process of Subak reads it, for its owner only."""
    write_secret(path, f"user = {json.dumps(user)}\npassword = {json.dumps(password)}\n".encode())
