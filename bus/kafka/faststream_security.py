"""Our security as FastStream states it: the same options, for the one client that FastStream makes itself."""

from __future__ import annotations

from faststream.security import BaseSecurity, SASLScram512

from bus.kafka.security import Security


def faststream_security(security: Security) -> BaseSecurity | None:
    """None for PLAINTEXT. The credentials are those of this moment: FastStream keeps them while the process lives."""
    context = security.ssl_context()
    if context is None:
        return None
    if security.protocol == "SASL_SSL":
        user, password = security.login()
        return SASLScram512(username=user, password=password, ssl_context=context)
    return BaseSecurity(ssl_context=context)
