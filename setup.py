"""Packaging. Metadata stands here; build system and tools are configured in pyproject.toml."""

import os
import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
INIT = (HERE / "pydatacoll/__init__.py").read_text(encoding="utf-8")
VERSION = re.search(r'__version__ = "(.+?)"', INIT).group(1)
REQUIREMENTS = [
    line
    for line in (HERE / "requirements.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]
# what build_backend/ has made of web/; a wheel without pages serves the API alone
PAGES = [] if os.environ.get("PYDATACOLL_WEB") == "skip" else ["web/static/**"]

setup(
    name="pydatacoll",
    version=VERSION,
    description="RESTful data-collection service for Modbus TCP and IEC 60870-5-104",
    long_description=(HERE / "README.rst").read_text(encoding="utf-8"),
    long_description_content_type="text/x-rst",
    license="Apache-2.0",
    license_files=["LICENSE", "NOTICE"],
    python_requires=">=3.11",
    packages=[*find_packages(include=["pydatacoll", "pydatacoll.*"]), "pydatacoll_plugins"],
    package_dir={"pydatacoll_plugins": "plugins"},
    package_data={"pydatacoll": ["py.typed", "entry_points.ini", "*/*.lua", "api/static/*", *PAGES]},
    install_requires=REQUIREMENTS,
    extras_require={"postgresql": ["asyncpg>=0.30,<0.33"]},
    # one list for the installed package and for a checkout that is not installed
    entry_points=(HERE / "pydatacoll/entry_points.ini").read_text(encoding="utf-8"),
    classifiers=[
        "Framework :: AsyncIO",
        "Operating System :: MacOS",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Home Automation",
        "Topic :: Scientific/Engineering",
    ],
)
