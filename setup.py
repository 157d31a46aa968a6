"""Packaging. Metadata stands here; build system and tools are configured in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+?)"', (HERE / "pydatacoll/__init__.py").read_text()).group(1)
REQUIREMENTS = [
    line for line in (HERE / "requirements.txt").read_text().splitlines() if line and not line.startswith("#")
]

setup(
    name="pydatacoll",
    version=VERSION,
    description="RESTful data-collection service for Modbus TCP and IEC 60870-5-104",
    long_description=(HERE / "README.rst").read_text(),
    long_description_content_type="text/x-rst",
    license="Apache-2.0",
    license_files=["LICENSE", "NOTICE"],
    python_requires=">=3.11",
    packages=[*find_packages(include=["pydatacoll", "pydatacoll.*"]), "pydatacoll_plugins"],
    package_dir={"pydatacoll_plugins": "plugins"},
    package_data={"pydatacoll": ["py.typed", "store/*.lua", "api/static/*"]},
    install_requires=REQUIREMENTS,
    entry_points={
        "console_scripts": ["pydatacoll = pydatacoll.cli:main"],
        "pydatacoll.protocols": [
            "modbus_tcp = pydatacoll.protocols.modbus_tcp:ModbusTcpDriver",
            "formula = pydatacoll.protocols.formula:FormulaDriver",
        ],
        "pydatacoll.plugins": [],
    },
    classifiers=[
        "Framework :: AsyncIO",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Home Automation",
        "Topic :: Scientific/Engineering",
    ],
)
