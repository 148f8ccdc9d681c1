"""A real Prometheus in a machine, asked through its HTTP API."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from tests.lab.machine import Machine

PORT, NODE_PORT = 9090, 9100
RULES = "/usr/share/sendrecv/sendrecv.rules.yml"
# A scrape each second, so that tests need not wait; the rules are those of the package.
CONFIG = f"""\
global:
  scrape_interval: 1s
  evaluation_interval: 1s
scrape_configs:
  - job_name: sendrecv
    static_configs:
      - targets: ["127.0.0.1:9903"]
  - job_name: node
    static_configs:
      - targets: ["127.0.0.1:{NODE_PORT}"]
rule_files:
  - {RULES}
"""


class Prometheus:
    """Debian's prometheus.service of that machine."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def start(self) -> None:
        """With CONFIG; returns when it answers."""
        self.machine.write("/etc/prometheus/prometheus.yml", CONFIG)
        # Cockpit, which is on these machines for other tests, has the same port.
        self.machine.run("systemctl stop cockpit.socket; systemctl restart prometheus")
        ready = f"curl -sf http://127.0.0.1:{PORT}/-/ready"
        self.machine.wait_until(
            lambda: self.machine.run(ready, check=False).returncode == 0, "Prometheus is ready"
        )

    def ask(self, path: str, **parameters: str) -> Mapping[str, Any]:
        """Its whole answer to GET /api/v1/PATH, also if that is an error."""
        given = [
            word for key in parameters for word in ("--data-urlencode", _pair(parameters, key))
        ]
        url = f"http://127.0.0.1:{PORT}/api/v1/{path}"
        said = self.machine.run(["curl", "-sS", "--get", url, *given]).stdout
        answer: Mapping[str, Any] = json.loads(said)
        return answer

    def values(self, query: str) -> list[float]:
        """The values of that query, now."""
        answer = self.ask("query", query=query)
        assert answer["status"] == "success", answer
        return [float(one["value"][1]) for one in answer["data"]["result"]]

    def value(self, query: str) -> float:
        """The only one."""
        (found,) = self.values(query)
        return found

    def wait(self, query: str, is_it: Callable[[list[float]], bool] = bool) -> list[float]:
        """Waits until the values are like that: by default, until there are any."""
        found: list[float] = []

        def holds() -> bool:
            found[:] = self.values(query)
            return is_it(found)

        self.machine.wait_until(holds, query)
        return found

    def alerts(self) -> Mapping[str, str]:
        """The state of each alert that is pending or firing, by its name."""
        alerts = self.ask("alerts")["data"]["alerts"]
        # One that fires is worth more than one that is pending.
        found = sorted((one["labels"]["alertname"], one["state"]) for one in alerts)
        return dict(reversed(found))


def _pair(parameters: Mapping[str, str], key: str) -> str:
    return f"{key}={parameters[key]}"
