"""YAML with exact positions, through PyYAML's marks: nodes to look into, tokens to find where things end."""

import yaml

from runbook.files.text import Text

RESTORE = "repair the file at that line, or restore it from a backup; promtool check rules FILE tells more"
_MERGE = "tag:yaml.org,2002:merge"  # of a plain `<<`; a quoted one is a key like any other
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


def pairs(node: yaml.Node) -> list[tuple[yaml.Node, yaml.Node]]:
    """The keys and values of a mapping, merge keys (`<<`) resolved as Prometheus does.

    A key of the mapping itself goes before one that is merged, and of several merged mappings the first has it.
    """
    return _Merges().pairs(node)


def values(node: yaml.Node, key: str) -> list[yaml.Node]:
    """Every value under a key of a mapping; Prometheus refuses a file where a key is repeated."""
    return [value for name, value in pairs(node) if isinstance(name, yaml.ScalarNode) and name.value == key]


def scalar(node: yaml.Node, key: str) -> str:
    """The text of a scalar under a key, as Prometheus reads it: a string whatever it looks like; else empty."""
    found = values(node, key)
    return found[0].value if found and isinstance(found[0], yaml.ScalarNode) else ""


def mapping(node: yaml.Node, key: str) -> dict[str, str]:
    """The mapping of scalars under a key; a value that is no scalar becomes its tag, which equals no text."""
    found = values(node, key)[:1]
    merged = [pair for one in found for pair in pairs(one)]
    return {str(name.value): str(value.value if _is_scalar(value) else value.tag) for name, value in merged}


def keys(node: yaml.MappingNode) -> set[str]:
    """Names of the fields of a mapping."""
    return {str(name.value) for name, _ in pairs(node)}


def repeated_key(root: yaml.Node) -> yaml.ScalarNode | None:
    """The first key that a mapping has twice itself: Prometheus then refuses the whole file; None if there is none."""
    waiting, seen = [root], set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:  # an alias
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += reversed(node.value)
        if isinstance(node, yaml.MappingNode):
            names = set()
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode) and key.value in names:
                    return key
                names.add(key.value if isinstance(key, yaml.ScalarNode) else id(key))
            waiting += (value for _, value in reversed(node.value))
    return None


class _Merges:
    """Merge keys of one document; each mapping is resolved once, however often aliases name it."""

    def __init__(self) -> None:
        self._known: dict[int, list[tuple[yaml.Node, yaml.Node]]] = {}

    def pairs(self, node: yaml.Node) -> list[tuple[yaml.Node, yaml.Node]]:
        if not isinstance(node, yaml.MappingNode):
            return []
        if id(node) not in self._known:
            self._known[id(node)] = []  # a mapping that merges itself has nothing of it
            self._known[id(node)] = self._resolved(node)
        return self._known[id(node)]

    def _resolved(self, node: yaml.MappingNode) -> list[tuple[yaml.Node, yaml.Node]]:
        found = [(key, value) for key, value in node.value if key.tag != _MERGE]
        names = {key.value for key, _ in found if isinstance(key, yaml.ScalarNode)}
        for _, merged in (pair for pair in node.value if pair[0].tag == _MERGE):
            for one in merged.value if isinstance(merged, yaml.SequenceNode) else [merged]:
                new = [pair for pair in self.pairs(one) if _is_scalar(pair[0]) and pair[0].value not in names]
                names |= {key.value for key, _ in new}
                found += new
        return found


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
