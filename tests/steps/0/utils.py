"""Helpers for handlers: templates.

Read next: main.py.
"""
import os

import config

# ---- Templates ----


def render_template(template_name: str) -> str:
    """Return the text of a template."""
    path = os.path.join(config.TEMPLATE_DIR, template_name)
    if not os.path.isfile(path):
        return "<h1>Template Not Found</h1>"
    with open(path, encoding="utf-8") as file:
        text = file.read()
    return text
