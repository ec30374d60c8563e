"""Secrets of an adapter: from the file itself, from the environment, or from a file of their own; never shown."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator, Mapping
from pathlib import Path

from schemas.failures import Misconfigured
from schemas.strict import Strict

KEY_BYTES_MIN = 24
"""Standard Webhooks 1.0: a signing secret has between 24 and 64 bytes."""

TOKEN_CHARACTERS_MIN = 16
"""A shorter token can be guessed."""


class WrongSecret(Misconfigured):
    """A secret that is missing, stated twice, or too weak. The sentence never contains it."""


class AnySecret(Mapping[str, str]):
    """An environment in which every variable is set, for a check without connections: secrets may be elsewhere."""

    PLACEHOLDER = "sqlite:///placeholder-for-a-secret-that-is-not-here.sqlite3"
    """Long enough for a token and a secret, and an address where a database's is wanted. Nothing is ever opened."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.absent: list[str] = []
        """Variables and files that were asked for and are not there."""

    def __getitem__(self, name: str) -> str:
        return self._environment.get(name) or self.placeholder(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._environment)

    def __len__(self) -> int:
        return len(self._environment)

    def __contains__(self, name: object) -> bool:
        return True

    def placeholder(self, name: str) -> str:
        """What stands for the secret; notes that it is absent."""
        if name not in self.absent:
            self.absent.append(name)
        return self.PLACEHOLDER


def read_secret(section: Strict, name: str, folder: Path, environment: Mapping[str, str]) -> str:
    """The secret `name` of a section: its key `name`, `<name>_env` or `<name>_file`, exactly one of which is stated.

    Raises:
        WrongSecret: none or several are, or there is nothing where it points to.
    """
    stated: dict[str, str] = {
        key: value for key in (name, f"{name}_env", f"{name}_file") if (value := getattr(section, key, None))
    }
    if len(stated) != 1:
        problem = "is missing" if not stated else f"is stated {len(stated)} times"
        raise WrongSecret(f"{name} {problem}: give exactly one of {name}, {name}_env or {name}_file.")
    ((key, value),) = stated.items()
    if key.endswith("_env"):
        if not environment.get(value):
            raise WrongSecret(f"{key} names the environment variable {value}, which is not set.")
        return environment[value]
    if key.endswith("_file"):
        path = folder / value
        try:
            return path.read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            if isinstance(environment, AnySecret):
                return environment.placeholder(value)
            raise WrongSecret(f"{key} names {path}, which cannot be read: {error}.") from error
    return str(value)


def signing_key(secret: str) -> bytes:
    """The bytes that sign: the base64 after `whsec_` (Standard Webhooks 1.0), or the text itself.

    Raises:
        WrongSecret: not base64, or too short.
    """
    try:
        key = (
            b64decode(secret.removeprefix("whsec_"), validate=True) if secret.startswith("whsec_") else secret.encode()
        )
    except ValueError as error:
        raise WrongSecret("secret begins with whsec_ and goes on with something that is not base64.") from error
    if len(key) < KEY_BYTES_MIN:
        raise WrongSecret(
            f"secret has {len(key)} bytes, fewer than {KEY_BYTES_MIN}. Make one with `openssl rand -base64 32`."
        )
    return key


def long_token(section: Strict, name: str, folder: Path, environment: Mapping[str, str]) -> str:
    """A secret that is used as a token, and so must be long.

    Raises:
        WrongSecret: as `read_secret`, or it can be guessed.
    """
    token = read_secret(section, name, folder, environment)
    if len(token) < TOKEN_CHARACTERS_MIN:
        raise WrongSecret(f"{name} has {len(token)} characters, fewer than {TOKEN_CHARACTERS_MIN}. Use a longer one.")
    return token
