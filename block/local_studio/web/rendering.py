"""Load the templates of the pages. Each is compiled once."""

from __future__ import annotations

import functools

import jinja2

from block.local_studio.web.template_filters import FILTERS


def load_template(name: str) -> jinja2.Template:
    """Return a template."""
    return _load_environment().get_template(name)


def prepare_templates() -> None:
    """Compile all templates that aren't yet."""
    for name in _load_environment().list_templates():
        load_template(name)


@functools.cache
def _load_environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters.update(FILTERS)
    return environment
