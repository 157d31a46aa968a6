"""The build backend (PEP 517, PEP 660): setuptools, after the web pages have been built if they have changed."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import web_pages
from setuptools import build_meta
from setuptools.build_meta import prepare_metadata_for_build_editable, prepare_metadata_for_build_wheel

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

T = TypeVar("T")
Config = dict[str, Any] | None


def _or_exit(step: Callable[..., T], *arguments: Any) -> T:
    """A failure ends the build with what npm said and the remedy, without a traceback on top."""
    try:
        return step(*arguments)
    except web_pages.BuildFailed as error:
        sys.exit(f"\n{error}")


def _build_pages() -> None:
    _or_exit(web_pages.build, web_pages.ROOT)
    # setuptools never removes what an earlier build has left there
    shutil.rmtree(web_pages.ROOT / "build" / "lib" / "pydatacoll" / "web", ignore_errors=True)


def _requirements() -> list[str]:
    return _or_exit(web_pages.requirements, web_pages.ROOT)


def get_requires_for_build_wheel(config_settings: Config = None) -> list[str]:
    return [*build_meta.get_requires_for_build_wheel(config_settings), *_requirements()]


def get_requires_for_build_editable(config_settings: Config = None) -> list[str]:
    return [*build_meta.get_requires_for_build_editable(config_settings), *_requirements()]


def get_requires_for_build_sdist(config_settings: Config = None) -> list[str]:
    return [*build_meta.get_requires_for_build_sdist(config_settings), *_requirements()]


def build_wheel(
    wheel_directory: str, config_settings: Config = None, metadata_directory: str | None = None
) -> str:
    _build_pages()
    name: str = build_meta.build_wheel(wheel_directory, config_settings, metadata_directory)
    return name


def build_editable(
    wheel_directory: str, config_settings: Config = None, metadata_directory: str | None = None
) -> str:
    _build_pages()
    name: str = build_meta.build_editable(wheel_directory, config_settings, metadata_directory)
    return name


def build_sdist(sdist_directory: str, config_settings: Config = None) -> str:
    """With the built pages, so that a wheel can be made of it without Node."""
    _build_pages()
    name: str = build_meta.build_sdist(sdist_directory, config_settings)
    return name
