"""Shapes of export, import and clone, see :mod:`pydatacoll.api.views`."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from pydatacoll.api.view_types import ProblemField, Time


class ExportView(Struct, kw_only=True):
    """The whole model. Fields that have their default are left out."""

    pydatacoll: Annotated[Literal[1], Meta(description="version of the format")]
    devices: list[dict[str, Any]]
    terms: list[dict[str, Any]]
    items: list[dict[str, Any]]
    term_items: list[dict[str, Any]]
    formulas: list[dict[str, Any]]


class ImportCounts(Struct, kw_only=True):
    """Objects of one kind."""

    add: int
    change: int
    delete: int
    unchanged: int


class ImportKinds(Struct, kw_only=True):
    """Objects by kind."""

    devices: ImportCounts
    items: ImportCounts
    terms: ImportCounts
    term_items: ImportCounts
    formulas: ImportCounts


class ImportChange(Struct, kw_only=True):
    """What becomes of one object."""

    action: Literal["add", "change", "delete"]
    kind: Literal["device", "term", "item", "term_item", "formula"]
    key: Annotated[str, Meta(description="id, or term_id:item_id")]
    fields: Annotated[dict[str, Any], Meta(description="field -> [before, after]; null: not set")]


class ImportAnswer(ImportCounts, kw_only=True):
    """What an import did, or would do. Objects with an error are in none of the counts."""

    errors: Annotated[list[ProblemField], Meta(description="the first 10,000; of a dry run only")]
    error_count: int
    counts: ImportKinds
    changes: list[ImportChange]
    truncated: Annotated[bool, Meta(description="there are more changes than limit")]


class ImportView(Struct, kw_only=True):
    """An import that is under way, or ended a short time ago."""

    id: str
    state: Literal["parsing", "checking", "committing", "done", "failed"]
    done: Annotated[int, Meta(description="of total: bytes while parsing, then objects")]
    total: int
    started: Time
    user: str
    dry_run: bool


class CloneCounts(Struct, kw_only=True):
    """How many objects of each kind came."""

    devices: int
    terms: int
    term_items: int


class Cloned(Struct, kw_only=True):
    """What cloning made."""

    created: CloneCounts


COMPONENTS: Final[tuple[type[Struct], ...]] = (ExportView, ImportAnswer, ImportView, Cloned)
