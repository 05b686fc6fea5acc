"""The parsers of the `toydiff` command, and the directive that lists their options."""

import argparse
import re
from contextlib import suppress
from unittest import mock

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from toydiff.cli import COMMANDS
from toydiff.cli_options import Parser, make_parser


class _Found(Exception):  # noqa: N818 - it ends a command early
    pass


def parser_of(command: str) -> Parser:
    """The parser of a command with its arguments; the command ends where it would parse them."""
    row = COMMANDS[command]
    parser = make_parser(command, row.summary)
    with mock.patch.object(parser, "parse_args", side_effect=_Found), suppress(_Found):
        row.run(parser, [])
    return parser


class Options(SphinxDirective):
    """`{options} COMMAND`: the arguments of a command with their meanings and defaults."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """One definition list."""
        parser = parser_of(self.arguments[0])
        formatter = parser._get_formatter()
        items = nodes.definition_list(classes=["options"])
        for action in parser._actions:
            if not isinstance(action, argparse._HelpAction):
                term = nodes.term("", "", nodes.literal("", _call(action)))
                meaning = nodes.paragraph("", "", *_text(formatter._expand_help(action)))
                items += nodes.definition_list_item("", term, nodes.definition("", meaning))
        return [items]


def _text(help_text: str) -> list[nodes.Node]:
    """A text in which options, such as --zoo, are code."""
    parts = re.split(r"(--[a-z-]+)", help_text)
    return [nodes.literal("", part) if part.startswith("--") else nodes.Text(part) for part in parts]


def _call(action: argparse.Action) -> str:
    """How an argument is written: -w, --weight WEIGHT."""
    name = action.metavar or action.dest.upper()
    value = name if isinstance(name, str) else " ".join(name)
    if not action.option_strings:
        return f"{value} ..." if action.nargs == "*" else value
    return ", ".join(action.option_strings) + ("" if action.nargs == 0 else f" {value}")
