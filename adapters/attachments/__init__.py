"""Photos and documents: kept in a folder or an S3-compatible store under their SHA-256, never sent through Kafka."""

from __future__ import annotations

from adapters.attachments.config import AttachmentsConfig
from adapters.http_app import Route
from schemas.failures import Misconfigured


def attachment_routes(config: AttachmentsConfig) -> list[Route]:
    """What answers under `/agencies/<id>/attachments`. The store's library is imported only here.

    Raises:
        Misconfigured: the library is not installed, or the store is none.
    """
    try:
        from adapters.attachments.routes import AttachmentRoutes
        from adapters.attachments.store import AttachmentStore
    except ModuleNotFoundError as error:
        raise Misconfigured(f"attachments need the library {error.name}: install subak[adapters].") from error
    return AttachmentRoutes(AttachmentStore(config)).routes()
