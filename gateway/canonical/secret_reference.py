"""How a secret is named where its value must not stand: in settings, in a provider's document."""

FORMS = "projects/P/secrets/S/versions/V, file:PATH or env:NAME"
PREFIXES = ("projects/", "file:", "env:")


def is_secret_reference(text: str) -> bool:
    """Whether a text is meant as a secret reference, well-formed or not."""
    return text.startswith(PREFIXES)
