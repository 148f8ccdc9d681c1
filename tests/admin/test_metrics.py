"""Metrics, alerts and dashboard, with a real Prometheus and a real node_exporter."""

import json
import re
import subprocess
from collections.abc import Iterator, Mapping

import pytest

from tests.admin.prometheus import RULES, Prometheus
from tests.lab.dashboard import expressions
from tests.lab.machine import Machine, end
from tests.lab.paths import TOP
from tests.system.app import App

ALERTS = "/tmp/alerts"
DASHBOARD = TOP / "monitoring/sendrecv.dashboard.json"
GUARD = "sendrecv-guard.timer"
PROM = "/var/lib/prometheus/node-exporter/sendrecv.prom"
UNHEARD = {"SendrecvNothingDelivered", "SendrecvReceiverDown"}
VARIABLES = {"$__rate_interval": "5m", "$__range": "1h", "$__interval": "1m"}


@pytest.fixture(name="app", scope="module")
def fixture_app(admin_machine: Machine) -> App:
    """An App that runs; to begin with, its main."""
    app = App(admin_machine, "one")
    app.start()
    return app


@pytest.fixture(name="prometheus", scope="module")
def fixture_prometheus(admin_machine: Machine) -> Iterator[Prometheus]:
    """It scrapes the port for scrapers."""
    admin_machine.run("systemctl enable --now sendrecv-metrics.socket")
    prometheus = Prometheus(admin_machine)
    prometheus.start()
    prometheus.wait('up{job="sendrecv"} == 1')
    yield prometheus


def test_off_by_default(admin_machine: Machine) -> None:
    for unit in ("sendrecv-metrics.socket", "sendrecv-metrics.timer"):
        assert admin_machine.run(f"systemctl is-enabled {unit}", check=False).stdout == "disabled\n"
        assert admin_machine.show(unit, "ActiveState") == "inactive"
    assert admin_machine.run(f"ls {PROM}", check=False).returncode
    assert ":9903" not in admin_machine.run("ss -Hltn").stdout


# What promtool says.


def test_promtool_has_nothing_to_say(admin_machine: Machine, app: App) -> None:
    assert app.active() == ["main"]
    done = admin_machine.run("sendrecv metrics | promtool check metrics")
    assert done.stdout + done.stderr == ""
    spoilt = "sendrecv metrics | sed s/_total/_counter/ | promtool check metrics"
    assert admin_machine.run(spoilt, check=False).returncode
    done = admin_machine.run(f"promtool check rules {RULES}")
    assert re.search(r"SUCCESS: [0-9]+ rules found", done.stdout) and done.stderr == ""


def test_each_alert_fires_for_what_it_is_for(admin_machine: Machine) -> None:
    """And if one does not fire any more, or fires always, that is seen."""
    rules = admin_machine.run(f"cat {RULES}").stdout
    admin_machine.put(TOP / "tests/admin/alerts.yml", f"{ALERTS}/alerts.yml")

    def tried(text: str) -> int:
        admin_machine.write(f"{ALERTS}/sendrecv.rules.yml", text)
        command = f"cd {ALERTS} && promtool test rules alerts.yml"
        return admin_machine.run(command, check=False).returncode

    assert tried(rules) == 0
    expression = re.compile(r"^( +expr:) (>-\n(?: {10}.*\n)+|.*\n)", re.M)
    places = [*expression.finditer(rules)]
    assert len(places) == rules.count("- alert:") > 10
    for place in places:
        for other in ("vector(1)", "vector(1) > 1"):
            spoilt = f"{rules[: place.start()]}{place[1]} {other}\n{rules[place.end() :]}"
            assert tried(spoilt) != 0, place[2]


def test_prometheus_parses_each_expression_of_the_dashboard(prometheus: Prometheus) -> None:
    """What it cannot parse is an error, not an empty answer."""
    found = expressions(json.loads(DASHBOARD.read_text("utf-8")))
    queries = [filled_in(one) for one in found if not one.startswith("label_values(")]
    assert len(queries) > 15
    for query in queries:
        answer = prometheus.ask("query", query=query)
        assert answer["status"] == "success", (query, answer)
    for metric, label in (
        re.findall(r"\((\w+), (\w+)\)", one)[0] for one in found if one[0] == "l"
    ):
        values = prometheus.ask(f"label/{label}/values", **{"match[]": metric})
        assert values["data"] != []
    assert prometheus.ask("query", query=f"{queries[0]})")["status"] == "error"


def filled_in(expression: str) -> str:
    """As Grafana does it."""
    for variable, value in VARIABLES.items():
        expression = expression.replace(variable, value)
    return re.sub(r"\$\w+", ".*", expression)


# What Prometheus sees.


def counter(prometheus: Prometheus, reason: str) -> float:
    matched = f'job="sendrecv", app="one", reason="{reason}"'
    return prometheus.value(f"sendrecv_takeovers_total{{{matched}}}")


def test_a_kill_is_a_takeover_by_signal(
    admin_machine: Machine, app: App, prometheus: Prometheus
) -> None:
    prometheus.wait('sendrecv_app_state{app="one", state="counting"} == 1')
    assert counter(prometheus, "signal") == 0
    with app.counts_from("failover"):
        admin_machine.kill(app.main, "KILL")
    prometheus.wait('sendrecv_takeovers_total{job="sendrecv", app="one", reason="signal"} == 1')
    prometheus.wait('sendrecv_app_counting_info{job="sendrecv", app="one", half="failover"}')
    silences = 'sendrecv_takeover_silence_seconds_count{job="sendrecv", app="one"}'
    assert prometheus.value(silences) == 1
    prometheus.wait('sendrecv_receiver_commit_seconds_count{job="sendrecv"} > 10')


def test_counters_never_become_less(
    admin_machine: Machine, app: App, prometheus: Prometheus
) -> None:
    """Whatever is restarted, and whatever the journal forgets."""
    stopped = counter(prometheus, "stopped")
    restart = "systemctl stop sendrecv-metrics-http.service"
    admin_machine.run(f"{restart}; systemctl restart receiver")
    admin_machine.run("journalctl --sync --rotate --vacuum-size=1")
    assert not takeovers(admin_machine)
    with app.counts_from("main"):
        app.systemctl("start", app.main)
    with app.counts_from("failover"):
        app.systemctl("stop", app.main)
    assert len(takeovers(admin_machine)) == 2
    query = 'sendrecv_takeovers_total{job="sendrecv", app="one", reason="stopped"}'
    prometheus.wait(f"{query} == {stopped + 1}")
    assert counter(prometheus, "signal") == 1
    counts = 'sendrecv_app_counts_total{job="sendrecv", app="one"}'
    for name in (counts, 'sendrecv_takeovers_total{job="sendrecv", app="one"}'):
        assert set(prometheus.values(f"resets({name}[10m])")) == {0}
    assert prometheus.value(f"increase({counts}[1m])") > 0


def takeovers(machine: Machine) -> list[Mapping[str, object]]:
    said = json.loads(machine.run("sendrecv history --json").stdout)
    return [event for event in said["events"] if event["event"] == "takeover"]


def test_node_exporter_has_the_same(
    admin_machine: Machine, app: App, prometheus: Prometheus
) -> None:
    """By the timer; and after its end the file tells its own age."""
    assert app.active() == ["failover"]
    admin_machine.run("systemctl enable --now sendrecv-metrics.timer")
    admin_machine.run("systemctl start sendrecv-metrics.service prometheus-node-exporter")
    prometheus.wait('sendrecv_app_counting_info{job="node", app="one", half="failover"}')
    assert prometheus.value("node_textfile_scrape_error") == 0
    query = "sum without (job, instance) (sendrecv_takeovers_total{job='%s', reason='signal'})"
    assert prometheus.values(query % "node") == prometheus.values(query % "sendrecv") == [1]
    before = prometheus.value('sendrecv_collected_timestamp_seconds{job="node"}')
    prometheus.wait(f'sendrecv_collected_timestamp_seconds{{job="node"}} > {before}')


# Alerts.


def test_an_app_that_is_meant_to_run_and_does_not_wakes_somebody(
    admin_machine: Machine, app: App, prometheus: Prometheus
) -> None:
    """One that was stopped does not."""
    other = App(admin_machine, "other")
    other.start()
    other.stop()
    prometheus.wait('sendrecv_app_state{app="other", state="stopped"} == 1')
    assert prometheus.alerts() == {}
    halves = f"{app.main} {app.failover}"
    admin_machine.run(f"systemctl stop {GUARD}; systemctl mask --runtime {halves}")
    try:
        admin_machine.run(f"systemctl kill --signal=KILL {app.failover}")
        admin_machine.wait_until(
            lambda: prometheus.alerts().get("SendrecvAppDoesNotRun") == "firing", "the alert"
        )
        alerts = prometheus.ask("alerts")["data"]["alerts"]
        ours = [one for one in alerts if one["labels"]["alertname"] == "SendrecvAppDoesNotRun"]
        assert {one["labels"]["app"] for one in ours} == {"one"}
        assert ours[0]["labels"]["severity"] == "critical"
        assert ours[0]["annotations"]["summary"].startswith("App one should run on 127.0.0.1:9")
    finally:
        admin_machine.run(f"systemctl unmask --runtime {halves}; systemctl reset-failed {halves}")
        with app.counts_from():
            admin_machine.run(f"systemctl start {app.main} {GUARD}")
    admin_machine.wait_until(
        lambda: "SendrecvAppDoesNotRun" not in prometheus.alerts(), "the alert is over"
    )


def test_without_a_receiver_somebody_is_woken(
    admin_machine: Machine, app: App, prometheus: Prometheus
) -> None:
    assert app.active() == ["main"]
    counts = prometheus.value('sendrecv_app_counts_total{job="sendrecv", app="one"}')
    with app.counts_from():
        admin_machine.run(f"systemctl stop {GUARD} receiver.socket receiver.service")
        admin_machine.wait_until(
            lambda: UNHEARD <= {name for name, it in prometheus.alerts().items() if it == "firing"},
            "both alerts",
        )
        admin_machine.run(f"systemctl start receiver.socket {GUARD}")
    prometheus.wait(f'sendrecv_app_counts_total{{job="sendrecv", app="one"}} > {counts}')
    admin_machine.wait_until(
        lambda: "SendrecvNothingDelivered" not in prometheus.alerts(), "the alert is over"
    )


# What a peer, and what the services may do.


def test_peers_that_say_nothing_keep_prometheus_out_no_more_than_that(
    admin_machine: Machine, prometheus: Prometheus
) -> None:
    one = "exec 3<> /dev/tcp/127.0.0.1/9903; exec sleep 60"
    script = f"for i in $(seq 60); do bash -c '{one}' & done; wait"
    crowd = admin_machine.popen(["bash", "-c", script], stdout=subprocess.DEVNULL)
    try:
        admin_machine.wait_until(
            lambda: int(admin_machine.run("pgrep -c -x sleep", check=False).stdout) >= 50, "a crowd"
        )
        scraped = "scrape_samples_scraped{job='sendrecv'}"
        begun = float(admin_machine.run("date +%s").stdout)
        prometheus.wait(f"{scraped} and timestamp({scraped}) > {begun}")
        prometheus.wait('up{job="sendrecv"} == 1')
    finally:
        end(crowd)
        admin_machine.run("pkill -x sleep", check=False)


def test_only_one_thing_is_answered(admin_machine: Machine, prometheus: Prometheus) -> None:
    assert prometheus.values('up{job="sendrecv"}')
    url = "http://127.0.0.1:9903"
    code = "curl -s -o /dev/null -w '%{http_code}'"
    for options, expected in (
        (f"{url}/metrics", "200"),
        (f"{url}/", "404"),
        (f"--path-as-is {url}/metrics/../etc/passwd", "404"),
        (f"-d x {url}/metrics", "405"),
    ):
        assert admin_machine.run(f"{code} {options}").stdout == expected


@pytest.mark.parametrize("unit", ["sendrecv-metrics", "sendrecv-metrics-http"])
def test_exposure(admin_machine: Machine, unit: str) -> None:
    admin_machine.run(f"systemd-analyze security --threshold=3 {unit}")


def test_the_service_reads_what_it_needs_and_no_more(
    admin_machine: Machine, prometheus: Prometheus
) -> None:
    """With its mounts, its user and its groups. The group adm may read logs."""
    prometheus.wait('up{job="sendrecv"} == 1')
    pid = admin_machine.pid("sendrecv-metrics-http.service")
    status = admin_machine.run(f"cat /proc/{pid}/status").stdout
    assert re.search(r"^CapEff:\t0+$", status, re.M) and re.search("^NoNewPrivs:\t1$", status, re.M)
    admin_machine.run("echo x > /var/log/secret.log; chgrp adm /var/log/secret.log")
    user = "setpriv --reuid=sendrecv-metrics --regid=adm --clear-groups"
    inside = f"nsenter --target {pid} --mount -- {user}"

    def may(command: str) -> bool:
        return not admin_machine.run(f"{inside} {command}", check=False).returncode

    assert may("ls /var/log/journal") and may("test -w /run/sendrecv-socket/status.sock")
    assert not may("test -e /var/log/secret.log")
    for path in ("/etc/sendrecv/token", "/var/lib/sendrecv", "/var/lib/sendrecv-receiver"):
        assert may(f"test -e {path}") and not may(f"test -r {path}"), path
    for path in ("/run/sendrecv-socket/receiver.sock", "/usr/bin/sendrecv", "/etc/sendrecv"):
        assert may(f"test -e {path}") and not may(f"test -w {path}"), path
    assert may("test -w /var/lib/sendrecv-metrics")


def test_what_is_removed(admin_machine: Machine) -> None:
    """The last test. Nothing stays that node_exporter would show, or that a scraper could ask."""
    assert admin_machine.run(f"cat {PROM}").stdout.startswith("# HELP sendrecv_build_info")
    admin_machine.run("systemctl stop prometheus; apt-get remove -qq sendrecv")
    assert ":9903" not in admin_machine.run("ss -Hltn").stdout
    left = f"ls -d {PROM} /run/sendrecv-metrics"
    assert admin_machine.run(left, check=False).stdout == ""
    admin_machine.run("apt-get purge -qq sendrecv")
    left = "find /etc/systemd /var/lib -name 'sendrecv*' -not -path '/var/lib/dpkg/*'"
    assert admin_machine.run(left).stdout == ""
