"""Settings of the archive: the table ``[plugin.db_saver]``. Cheap to import."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Meta, Struct

from pydatacoll.archive.sql_tokens import Kind


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


def database_kind(table: Mapping[str, Any]) -> Kind:
    """Family of the database that the table of the settings means, checked or not; SQLite when it says nothing."""
    name = str(table.get("url", "")).strip().partition(":")[0].partition("+")[0].lower()
    return {"mysql": "mysql", "mariadb": "mysql", "postgresql": "postgresql"}.get(name, "sqlite")  # type: ignore[return-value]
