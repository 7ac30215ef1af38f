"""YAML with exact positions, through PyYAML's marks: nodes to look into, tokens to find where things end."""

import yaml

from runbook.files.text import Text

RESTORE = "repair the file at that line, or restore it from a backup; promtool check rules FILE tells more"
DEPTH_LIMIT = 64  # a rules file needs 7
# libyaml, of which Prometheus's own parser is a port; seven times as fast as PyYAML's, with the same marks.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def document(text: Text) -> yaml.MappingNode:
    """The only document of a file, a mapping; raises DocumentError, with the line, for anything else."""
    try:
        _refuse_bombs_and_documents(text)
        root = yaml.compose(text.body, Loader=LOADER)
    except yaml.MarkedYAMLError as error:
        offset = error.problem_mark.index if error.problem_mark else None
        raise text.refusal(f"not YAML: {error.problem}", offset=offset, fix=RESTORE) from None
    except yaml.reader.ReaderError as error:
        seen = f"not YAML: character #x{error.character:04x} is not allowed"
        raise text.refusal(seen, offset=text.body.find(chr(error.character)), fix=RESTORE) from None
    if not isinstance(root, yaml.MappingNode):
        raise text.refusal("the YAML is not a mapping with groups", fix=RESTORE)
    return root


def _refuse_bombs_and_documents(text: Text) -> None:
    """Raise DocumentError for a second document, and for nesting so deep that parsers need minutes or crash."""
    depth = documents = 0
    for event in yaml.parse(text.body, Loader=LOADER):
        offset = event.start_mark.index if event.start_mark else None
        documents += isinstance(event, yaml.DocumentStartEvent)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if documents > 1:
            raise text.refusal(
                "a second YAML document begins: Prometheus reads only the first",
                offset=offset,
                fix="make one document of it: remove the line --- and merge the groups",
            )
        if depth > DEPTH_LIMIT:
            raise text.refusal("the YAML is nested too deeply to be a rules file", offset=offset, fix=RESTORE)


def values(node: yaml.Node, key: str) -> list[yaml.Node]:
    """Every value under a key of a mapping; YAML parsers differ in what they make of a repeated key."""
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return [value for name, value in pairs if isinstance(name, yaml.ScalarNode) and name.value == key]


def scalar(node: yaml.Node, key: str) -> str:
    """The text of a scalar under a key, as Prometheus reads it: a string whatever it looks like; else empty."""
    found = values(node, key)
    return found[0].value if found and isinstance(found[0], yaml.ScalarNode) else ""


def mapping(node: yaml.Node, key: str) -> dict[str, str]:
    """The mapping of scalars under a key; a value that is no scalar becomes its tag, which equals no text."""
    found = values(node, key)
    pairs = found[0].value if found and isinstance(found[0], yaml.MappingNode) else []
    return {str(name.value): str(value.value if _is_scalar(value) else value.tag) for name, value in pairs}


def keys(node: yaml.MappingNode) -> set[str]:
    """Names of the fields of a mapping."""
    return {str(name.value) for name, _ in node.value}


def last_content(text: Text, node: yaml.Node) -> tuple[int, bool]:
    """Where the last line of a node's content can be found, and whether blank lines below it are content too.

    The marks of a node run on to what follows it, and those of an alias lie at its anchor: tokens are exact.
    Blank lines below a block scalar are its content only if its header keeps them (`|+`).
    """
    first, last = node.start_mark.index, node.end_mark.index
    token = [
        token
        for token in yaml.scan(text.body, Loader=LOADER)
        if first <= token.start_mark.index < token.end_mark.index <= last
    ][-1]
    content = text.body[token.start_mark.index : token.end_mark.index]
    header = content.partition("\n")[0]
    if header[0] in "|>" and "+" in header:
        return token.end_mark.index - 1, True
    return token.start_mark.index + len(content.rstrip()), False


def _is_scalar(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode)
