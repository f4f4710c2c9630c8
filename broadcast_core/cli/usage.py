"""The help of a command and its mistakes in words: what click says in English, in the terminal's language.

Lines are cut by how wide they are on a terminal; click counts characters, and a Chinese one takes two columns.
"""

from __future__ import annotations

import re
import shutil
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any, Final

from broadcast_core.i18n import Sentence, _, terminal_language, translate

_WIDEST: Final = 100
_INDENT: Final = "  "
_LEFT: Final = 30  # an option wider than this has its words on the next line

# What typer and click write themselves.
_THEIRS: Final = (
    _("Show this message and exit."),
    _("Install completion for the current shell."),
    _("Show completion for the current shell, to copy it or customize the installation."),
)
_EXTRAS: Final = (
    (re.compile(r"\bdefault: "), _("default: ")),
    (re.compile(r"\benv var: "), _("variable: ")),
    (re.compile(r"\brequired\b"), _("required")),
)
_MISTAKES: Final[Sequence[tuple[str, Sentence]]] = (
    (r"No such command '(?P<name>.*)'\. Did you mean (?P<near>.*)\?", _("There is no command {name}; {near}?")),
    (r"No such command '(?P<name>.*?)'\.", _("There is no command {name}.")),
    (r"Missing command\.", _("Say which command.")),
    (r"No such option: (?P<name>\S+) \(Possible options: (?P<near>.*)\)", _("There is no option {name}; {near}?")),
    (r"No such option: (?P<name>\S+)(?: Did you mean (?P<near>.*)\?)?", _("There is no option {name}.")),
    (r"Missing argument '(?P<name>.*?)'\..*", _("{name} is missing.")),
    (r"Missing option '(?P<name>.*?)'\..*", _("The option {name} is missing.")),
    (r"Option '(?P<name>.*)' requires an argument\.", _("The option {name} needs a value.")),
    (r"Option '(?P<name>.*)' does not take a value\.", _("The option {name} takes no value.")),
    (r"Got unexpected extra arguments?(?:\(s\))? \((?P<what>.*)\)", _("That is too much: {what}")),
    (r"Invalid value for (?P<name>.*?): (?P<why>.*)", _("{name}: {why}")),
    (r"Value error, (?P<why>.*)", _("{why}")),
    (r"Input should be less than or equal to (?P<most>.*)", _("at most {most}.")),
    (r"Input should be greater than or equal to (?P<least>.*)", _("at least {least}.")),
    (r"Input should be a valid (integer|number).*", _("that is no number.")),
    (r"(?P<value>.*) is not one of (?P<known>.*)\.", _("{value} is none of {known}.")),
    (r"(?P<value>.*) is not in the range (?P<range>.*)\.", _("{value} is not in the range {range}.")),
    (r"(?P<value>.*) is not a valid (?P<kind>int|integer|float|number)\w*( range)?\.", _("{value} is no number.")),
)


def help_of(command: Any, ctx: Any, commands: Sequence[tuple[str, str]] = ()) -> str:
    """A command's help: usage, what it does, arguments, options, its commands."""
    language = terminal_language()
    width = min(_WIDEST, shutil.get_terminal_size().columns)
    usage = " ".join(command.collect_usage_pieces(ctx))
    lines = [_("Usage: {usage}", usage=f"{ctx.command_path} {usage}").say(language), ""]
    lines += [_INDENT + line for line in _wrapped(translate(command.help or "", language), width - 2)]
    shown: dict[str, list[tuple[str, str]]] = {"argument": [], "option": []}
    for parameter in command.get_params(ctx):
        record = _record(parameter, ctx, language)
        if record is not None:
            shown[parameter.param_type_name].append(record)
    titled = (
        (_("Arguments:"), shown["argument"]),
        (_("Options:"), shown["option"]),
        (_("Commands:"), list(commands)),
    )
    for title, rows in titled:
        if rows:
            lines += ["", title.say(language), *_defined(rows, width)]
    return "\n".join(lines)


def mistake_of(error: Any) -> str:
    """A wrong command line in words, and how to see what would be right."""
    ctx, language = error.ctx, terminal_language()
    if type(error).__name__ == "NoArgsIsHelpError":
        return str(error.format_message())
    said = _in_words(error.format_message(), language)
    if ctx is None:
        return said
    return f"{ctx.command_path}: {said}\n  → {ctx.command_path} --help"


def _in_words(text: str, language: str) -> str:
    for pattern, sentence in _MISTAKES:
        found = re.fullmatch(pattern, text, re.DOTALL)
        if found is not None:
            values = {name: value or "" for name, value in found.groupdict().items()}
            if "why" in values:
                values["why"] = _in_words(values["why"], language)
            return Sentence(sentence.msgid, dict(values)).say(language)
    return text


def _record(parameter: Any, ctx: Any, language: str) -> tuple[str, str] | None:
    """What click shows of a parameter: its names, and its words with what is said of default, range and need."""
    words = parameter.help or ""
    record: tuple[str, str] | None = parameter.get_help_record(ctx)
    if record is None:
        return None
    names, text = record
    if parameter.param_type_name == "argument":
        names = parameter.metavar or names  # nobody needs to know that a name is a <str>
    extras = text[len(words) :]
    for pattern, sentence in _EXTRAS:
        extras = pattern.sub(sentence.say(language), extras)
    return names, translate(words, language) + extras


def _defined(rows: Sequence[tuple[str, str]], width: int) -> Iterator[str]:
    left = min(_LEFT, max(_width(name) for name, _words in rows))
    gap = len(_INDENT) + left + 2
    for name, words in rows:
        lines = list(_wrapped(words, width - gap)) or [""]
        if _width(name) > left:
            yield _INDENT + name
        else:
            yield (_INDENT + name + " " * (gap - len(_INDENT) - _width(name)) + lines.pop(0)).rstrip()
        yield from (" " * gap + line for line in lines)


def _wrapped(text: str, width: int) -> Iterator[str]:
    """Lines of at most `width` columns: broken at spaces, and between Chinese characters."""
    line = ""
    for piece in _PIECE.findall(text):
        if line and _width(line + piece.rstrip()) > width:
            yield line.rstrip()
            line = ""
        line += piece if line else piece.lstrip()
    if line.strip():
        yield line.rstrip()


# Latin words with the spaces after them; a wide character by itself, with the punctuation that must not begin a line.
_PIECE: Final = re.compile(r"[⺀-\uffef][，。、；：！？）」』”]*|[^\s⺀-\uffef]+\s*|\s+")


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text)
