"""kubectl's dialect of JSONPath (https://kubernetes.io/docs/reference/kubectl/jsonpath/).

A template is text with actions in braces: `{range .items[*]}{.metadata.name}{"\\n"}{end}`. It differs from RFC 9535:
paths need no `$`, a dot inside a key is written `\\.`, filters compare one thing (`[?(@.type=="Ready")]`), and a key
that is not there prints nothing. parser.py reads a template into values, evaluator.py walks an object with them.
"""

from minipod.cli.jsonpath.evaluator import find, render
from minipod.cli.jsonpath.parser import JSONPathError, Template, parse, relax

__all__ = ["JSONPathError", "Template", "find", "parse", "relax", "render"]
