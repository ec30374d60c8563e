"""Events received, waiting for the agency."""

from bus.inbox.inbox import Inbox
from bus.inbox.reader import InboxReader, InboxReaderSettings
from bus.inbox.rows import Arrived, Mark

__all__ = ["Arrived", "Inbox", "InboxReader", "InboxReaderSettings", "Mark"]
