"""Wire formats, pure. A dialect is a module with the names of `canonical.dialect.Dialect`; a new one is a file and a row here."""

from gateway.canonical.dialect import Dialect
from gateway.dialects import anthropic, vertex

DIALECTS: dict[str, Dialect] = {dialect.NAME: dialect for dialect in (anthropic, vertex)}
