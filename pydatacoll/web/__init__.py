"""The web pages as the build has made them from the sources in ``web/``: files below ``static/``, no code."""
