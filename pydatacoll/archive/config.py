"""Settings of the archive: the table ``[plugin.db_saver]``. Cheap to import."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class ArchiveConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[plugin.db_saver]``: where and what is archived."""

    url: Annotated[
        str,
        Meta(
            description="sqlite:///FILE, mysql://USER:PASSWORD@HOST/DATABASE or postgresql://...; empty: the file "
            "``archive.db`` in ``data_dir``"
        ),
    ] = ""
    save_unchanged: Annotated[
        bool, Meta(description="save every sample; else only those with another value or quality than the last")
    ] = False
    retention: Annotated[
        float,
        Meta(ge=0, le=36_600, description="days that samples are kept; 0: for ever; MySQL drops whole months"),
    ] = 0.0
    connections: Annotated[int, Meta(ge=1, le=64, description="most connections to the database")] = 4
    timeout: Annotated[
        float, Meta(gt=0, le=3600, description="longest time a write or a query may take, seconds")
    ] = 30.0


def database_kind(url: str) -> str:
    """Family of the database that a URL means, as :mod:`.sql_tokens` names them; SQLite when it is empty."""
    name = url.strip().partition(":")[0].partition("+")[0].lower()
    return {"": "sqlite", "mariadb": "mysql"}.get(name, name)
