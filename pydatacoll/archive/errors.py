"""What can go wrong with an archive."""

from __future__ import annotations

from pydatacoll.errors import PyDataCollError, TryLater


class ArchiveUnavailable(TryLater):
    """The database cannot be used now: away, password refused, read-only, disk full. What waits for it, waits."""

    title = "Archive unavailable"


class ArchiveTooNew(ArchiveUnavailable):
    """The tables were made by a newer release, which this one must not write to."""


class StatementError(PyDataCollError):
    """The database refuses a user's statement; the message is the database's own."""

    status = 422
    title = "Statement refused"


class TemplateError(StatementError):
    """A user's statement is refused before a database sees it. The message says what is wrong and what to do."""
