"""Who asks: people and machines of the city's OpenID provider, and what each may do.

Where no issuer is set, nobody is asked: a process then listens on loopback unless its operator says otherwise.
"""

from bus.identity.callers import EVERYBODY, Caller, Right
from bus.identity.issuer import Issuer, IssuerAway
from bus.identity.settings import Identity, identity_of
from bus.identity.tokens import TokenRefused

__all__ = ["EVERYBODY", "Caller", "Identity", "Issuer", "IssuerAway", "Right", "TokenRefused", "identity_of"]
