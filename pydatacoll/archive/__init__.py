"""The archive: samples and alarms in a database (SQLite, MySQL or MariaDB, PostgreSQL), by SQLAlchemy.

:mod:`.config`, :mod:`.errors`, :mod:`.sql_template` and :mod:`.values` are pure and cheap; the rest imports
SQLAlchemy, so it is imported only where an archive is used.
"""
