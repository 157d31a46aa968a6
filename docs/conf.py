"""Configuration of Sphinx. What can be generated from the code is: see ``generated.py``."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent))

from pydatacoll import __version__

project = "PyDataColl"
author = "the PyDataColl authors"
project_copyright = author
version = release = __version__

extensions = ["sphinx.ext.autodoc", "generated"]
exclude_patterns = ["_build", "examples"]
root_doc = "index"
nitpicky = True
# Links into the Python library and its packages are not resolved: the documentation builds without a network.
nitpick_ignore_regex = [("py:.*", ".*")]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_class_signature = "separated"
add_module_names = False
python_use_unqualified_type_names = True

html_theme = "alabaster"
html_theme_options = {
    "description": "Data collection over Modbus TCP, served over REST",
    "fixed_sidebar": False,
    "page_width": "1080px",
    "sidebar_width": "230px",
    "show_powered_by": False,
}
html_sidebars = {"**": ["about.html", "navigation.html", "searchbox.html"]}
html_show_sourcelink = False
html_copy_source = False
