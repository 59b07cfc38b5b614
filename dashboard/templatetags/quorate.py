"""Template filters."""

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from dashboard.text import neutral as neutralise

register = template.Library()


@register.filter
def neutral(text: str) -> SafeString:
    """Text of others, escaped, on its own for the writing direction, with what would deceive made visible."""
    pieces = format_html_join(
        "",
        "{}",
        (
            (format_html("<mark>{}</mark>", piece.text) if piece.suspicious else piece.text,)
            for piece in neutralise(str(text)).pieces
        ),
    )
    return format_html("<bdi>{}</bdi>", pieces)
