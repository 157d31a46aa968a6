"""The archive: samples and alarms in a database (SQLite, MySQL or MariaDB, PostgreSQL), by SQLAlchemy.

:mod:`.config` and :mod:`.sql_template` are pure and cheap; the rest imports SQLAlchemy, so it is imported only where
an archive is used.
"""
