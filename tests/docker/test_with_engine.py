"""What with-engine changes on this host is put back, also where nothing was, and however its command ends.

Everything happens in name spaces of its own (network, mounts, processes), with a small program in the engine's place
that changes what Docker changes.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import pytest

pytestmark = pytest.mark.docker

HERE = Path(__file__).resolve().parent
NAME_SPACES = ("unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child")
SIGNALS = ("env", "--default-signal=HUP,INT,TERM")  # a shell cannot trap what nohup, say, has it ignore
EMPTY_TABLE = re.compile(r"\*\w+\n(:\w+ ACCEPT \[\d+:\d+\]\n)+COMMIT\n")
NEEDED = ("unshare", "setpriv", "setsid", "ip", "iptables-nft-save", "iptables-legacy-save")

DOCKER = """#!/bin/sh
case $1 in
info) [ -e "${DOCKER_HOST#unix://}" ] ;;
ps) cat "$FOLDER/left" ;;
esac
"""

DOCKERD = f"""#!{sys.executable}
import signal, subprocess, sys
from pathlib import Path

options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
ends = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
signal.pthread_sigmask(signal.SIG_BLOCK, ends)
changes = Path(__file__).with_name("changes").read_text()
subprocess.run(["sh", "-euc", changes, "sh", options["--exec-root"]], check=True)
socket = Path(options["--host"].removeprefix("unix://"))
socket.touch()
signal.sigwait(ends)
socket.unlink()
"""

# As Docker 20.10 with one network; the chains of IPv6 and the table raw as newer ones have them.
CHANGES = """
ip link add docker0 type bridge
ip link add br-0123456789ab type bridge
echo 1 >/proc/sys/net/ipv4/ip_forward
echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
for filter in iptables ip6tables; do
    $filter -P FORWARD DROP
    for chain in DOCKER DOCKER-USER DOCKER-ISOLATION-STAGE-1; do $filter -N $chain; done
    $filter -A DOCKER-USER -j RETURN
    $filter -I FORWARD -j DOCKER-USER
    $filter -A FORWARD -o docker0 -j DOCKER
    $filter -t nat -N DOCKER
    $filter -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
    $filter -t nat -A POSTROUTING ! -o docker0 -j MASQUERADE
done
iptables -t raw -A PREROUTING -d 172.17.0.2/32 ! -i docker0 -j DROP
mkdir -p "$1/netns"
mount -t tmpfs none "$1/netns"
"""

NOTHING = """
echo 0 >/proc/sys/net/ipv4/ip_forward
"""

# A table nat is there for IPv6 only. `br-0000000000aa` is that of another engine.
FOREIGN = """
echo 0 >/proc/sys/net/ipv4/ip_forward
echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
ip link add lan type bridge
ip link add br-0000000000aa type bridge
iptables-restore --counters <<END
*filter
:INPUT DROP [7:532]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:WARDEN - [0:0]
[5:420] -A INPUT -i lo -j ACCEPT
[3:180] -A FORWARD -j WARDEN
[0:0] -A WARDEN -s 192.0.2.0/24 -j DROP
COMMIT
*mangle
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
[2:99] -A PREROUTING -j MARK --set-xmark 0x1/0xffffffff
COMMIT
END
ip6tables-restore --counters <<END
*filter
:INPUT DROP [0:0]
:FORWARD ACCEPT [4:44]
:OUTPUT ACCEPT [0:0]
[1:72] -A INPUT -s 2001:db8::/32 -j ACCEPT
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:DOCKER-LIKE - [0:0]
[0:0] -A PREROUTING -j DOCKER-LIKE
COMMIT
END
"""

SCENARIO = """
noted() {
    mkdir "$1"
    iptables-save --counters >"$1/iptables"
    ip6tables-save --counters >"$1/ip6tables"
    cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding \
        /proc/sys/net/ipv6/conf/default/forwarding >"$1/forwarding"
    ip -oneline link | cut -d: -f2 >"$1/interfaces"
    grep -F "$FOLDER" /proc/self/mounts >"$1/mounts" || true
    ps -eo args= >"$1/processes"
    ls "$TMPDIR" >"$1/folders"
}

. "$FOLDER/start"
noted "$FOLDER/before"
code=0
echo input | setsid --wait "$FOLDER/scripts/with-engine" sh -c "$COMMAND" || code=$?
noted "$FOLDER/after"
exit "$code"
"""

OLD_RESTORE = """#!/bin/sh
case $1 in
save) iptables-save >"$2/iptables" ;;
restore) iptables-restore <"$2/iptables" ;;
esac
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How with-engine ended, what it printed, and what was noted before and after: name -> lines."""

    code: int
    said: str
    before: Mapping[str, str]
    after: Mapping[str, str]

    def changed(self) -> set[str]:
        """Return the names of what is not as before."""
        return {name for name, text in self.before.items() if self.after[name] != text}


Runs = Callable[..., Outcome]


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    """Run a command by with-engine, in name spaces that start without tables; `scripts` go in place of ours."""
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if os.geteuid() != 0 or missing:
        pytest.skip(f"a name space of its own needs root and {', '.join(NEEDED)}; missing: {missing}")

    def run(
        command: str, *, start: str = NOTHING, backend: str = "nft", scripts: Mapping[str, str] = MappingProxyType({})
    ) -> Outcome:
        _make_programs(tmp_path, backend, scripts)
        (tmp_path / "start").write_text(start, encoding="utf-8")
        (tmp_path / "left").touch()
        (tmp_path / "tmp").mkdir()
        done = subprocess.run(
            (*SIGNALS, *NAME_SPACES, "sh", "-euc", SCENARIO),
            env={
                "PATH": f"{tmp_path}/bin{os.pathsep}{os.environ['PATH']}",
                "FOLDER": str(tmp_path),
                "TMPDIR": str(tmp_path / "tmp"),
                "COMMAND": command,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=100,
        )
        assert (tmp_path / "after/folders").exists(), done.stdout
        before, after = (_noted(tmp_path / name, backend) for name in ("before", "after"))
        return Outcome(code=done.returncode, said=done.stdout, before=before, after=after)

    return run


def _make_programs(folder: Path, backend: str, scripts: Mapping[str, str]) -> None:
    ours = {name: (HERE / name).read_text(encoding="utf-8") for name in ("with-engine", "host-network")}
    programs = {"docker": DOCKER, "dockerd": DOCKERD, "changes": CHANGES, "dpkg": "#!/bin/sh\n"}
    for name, text in (*programs.items(), *{**ours, **scripts}.items()):
        path = folder / ("scripts" if name in ours else "bin") / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)
    for name in ("iptables", "ip6tables"):
        for what in ("", "-save", "-restore"):
            (folder / "bin" / f"{name}{what}").symlink_to(shutil.which(f"{name}-{backend}{what}") or "")


def _noted(folder: Path, backend: str) -> dict[str, str]:
    texts = {path.name: re.sub(r"^#.*\n", "", path.read_text(), flags=re.MULTILINE) for path in folder.iterdir()}
    if backend == "legacy":  # such a table cannot be removed: with nothing in it, and accepting, it counts as none
        texts |= {name: EMPTY_TABLE.sub("", texts[name]) for name in ("iptables", "ip6tables")}
    return texts


@pytest.mark.parametrize("backend", ["nft", "legacy"])
@pytest.mark.parametrize("start", [NOTHING, FOREIGN], ids=["nothing", "foreign"])
def test_host_is_afterwards_what_it_was(runs: Runs, start: str, backend: str) -> None:
    """Tables that were not there go, those of others stay to the letter; input and exit code are the command's."""
    is_changed = "iptables-save | grep -q DOCKER-USER"
    done = runs(f'{is_changed} && read -r word && [ "$word" = input ] && exit 7', start=start, backend=backend)

    assert (done.code, done.said, done.changed()) == (7, "", set())
    assert ("-A WARDEN" in done.after["iptables"], done.after["iptables"] == "") == (start == FOREIGN, start == NOTHING)


@pytest.mark.parametrize("start", [NOTHING, FOREIGN], ids=["nothing", "foreign"])
def test_restoring_only_what_was_saved_is_seen(runs: Runs, start: str) -> None:
    """The negative control: restoring an empty file changes nothing."""
    done = runs("true", start=start, scripts={"host-network": OLD_RESTORE})

    assert {"iptables", "ip6tables"} <= done.changed()
    assert "-A POSTROUTING ! -o docker0 -j MASQUERADE" in done.after["iptables"]


@pytest.mark.parametrize(("name", "code"), [("TERM", 143), ("HUP", 129)])
def test_a_signal_ends_the_command_and_takes_everything_back(runs: Runs, name: str, code: int) -> None:
    """SIGTERM to the script alone, or a terminal that was closed: the command does not go on without its engine."""
    done = runs(f"kill -{name} $PPID; exec sleep 1000")

    assert (done.code, done.changed()) == (code, set())


def test_interrupted_command_has_its_engine_while_it_ends(runs: Runs, tmp_path: Path) -> None:
    """Ctrl-C reaches every process of the terminal, and the engine is not one of them."""
    done = runs("trap 'docker info && touch $FOLDER/tidied; exit 7' INT; kill -INT 0; exit 9")

    assert (done.code, done.changed(), (tmp_path / "tidied").exists()) == (130, set(), True)


def test_closed_terminal_that_is_not_heeded_is_seen(runs: Runs) -> None:
    """The negative control: without the trap for SIGHUP the shell dies, and nothing is taken back."""
    text = (HERE / "with-engine").read_text(encoding="utf-8")
    trap = "trap 'stop 129' HUP\n"
    assert trap in text
    done = runs("kill -HUP $PPID; exec sleep 1", scripts={"with-engine": text.replace(trap, "")})

    assert {"iptables", "ip6tables", "forwarding", "interfaces", "mounts", "folders"} <= done.changed()


def test_what_the_command_leaves_in_the_engine_is_named(runs: Runs) -> None:
    """The engine goes, and its containers with it: nobody would see them afterwards."""
    done = runs("echo forgotten >$FOLDER/left")

    assert (done.code, done.changed()) == (1, set())
    assert done.said.splitlines() == ["The command has left behind in the engine:", "forgotten"]
