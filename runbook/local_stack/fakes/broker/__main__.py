"""`python -m runbook.local_stack.fakes.broker`: a Kafka broker for one machine, and a small HTTP port to control it.

`POST /down` closes every connection and the port refuses new ones, as a stopped broker does (measured with librdkafka
2.16); topics, data, committed offsets and group members stay, and `POST /up` serves them again at the same address.
Clients come back by themselves, after their own reconnect back-off.

`POST /advertise?address=HOST:PORT` changes the address in the metadata alone: a client still reaches the bootstrap
address and is then sent to that one. Advertising the bootstrap address mends it.
"""

import argparse
import os
from contextlib import closing
from pathlib import Path

from runbook.local_stack.fakes.broker.cluster import MockCluster, MockClusterError
from runbook.local_stack.fakes.serving import (
    App,
    Request,
    Response,
    Route,
    Server,
    fail,
    json_response,
    log,
    routed,
)
from runbook.platforms import hold_signals, wait_for_end

NAME = "broker"


def main() -> None:
    """Start the cluster, create the topics, publish the address, and serve until SIGTERM."""
    options = _options()
    hold_signals()
    try:
        with closing(MockCluster(options.brokers)) as cluster:
            for name, partitions in options.topic:
                cluster.create_topic(name, partitions)
            with Server(NAME, options.control_port, control(cluster)):
                log(f"{NAME} serves Kafka on {cluster.bootstrap()}")
                _publish(options.bootstrap_file, cluster.bootstrap())
                wait_for_end()
    except MockClusterError as error:
        fail(NAME, str(error))


def control(cluster: MockCluster) -> App:
    """Return the control port's routes; each answers the state that holds from now on."""
    state = {"state": "up", "bootstrap": cluster.bootstrap(), "advertised": cluster.bootstrap()}

    def health(_: Request) -> Response:
        return json_response(200, state)

    def down(_: Request) -> Response:
        cluster.set_down()
        state["state"] = "down"
        return json_response(200, state)

    def up(_: Request) -> Response:
        cluster.set_up()
        state["state"] = "up"
        return json_response(200, state)

    def advertise(request: Request) -> Response:
        host, _, port = request.query.get("address", "").rpartition(":")
        if not host or not port.isdecimal():
            return json_response(400, {"detail": "address is not HOST:PORT"})
        cluster.advertise(host, int(port))
        state["advertised"] = f"{host}:{port}"
        return json_response(200, state)

    return routed(
        (
            Route("GET", "/health", health),
            Route("POST", "/down", down),
            Route("POST", "/up", up),
            Route("POST", "/advertise", advertise),
        )
    )


def _publish(path: Path, address: str) -> None:
    """Write the address so that a reader sees nothing or all of it."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.write_text(f"{address}\n", encoding="utf-8")
    draft.replace(path)


def _topic(text: str) -> tuple[str, int]:
    name, _, partitions = text.rpartition(":")
    if not name or not partitions.isdecimal() or int(partitions) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME:PARTITIONS")
    return name, int(partitions)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=f"python -m {__package__}",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--bootstrap-file", type=Path, required=True, metavar="FILE",
        help="where to write the address for bootstrap.servers, once ready",
    )  # fmt: skip
    parser.add_argument(
        "--topic", type=_topic, action="append", default=[], metavar="NAME:PARTITIONS",
        help="create this topic at start; repeatable (an unknown topic appears with 4 partitions)",
    )  # fmt: skip
    parser.add_argument("--brokers", type=int, default=1, metavar="N", help="number of brokers (default: 1)")
    parser.add_argument(
        "--control-port", type=int, default=0, metavar="PORT",
        help="HTTP port of GET /health, POST /down, /up, /advertise (default: a free one, named in the first log line)",
    )  # fmt: skip
    return parser.parse_args()


if __name__ == "__main__":
    main()
