"""Every metric, with its type, its labels and its meaning. sendrecv-metrics(1) has the same table;
a test compares the two.

Names follow Prometheus: base units, _total for what only grows, _info for what is 1 and has its
value in the labels. The label `app` is the name of an instance: `instance` is Prometheus' own.
"""

from __future__ import annotations

from sendrecv.core.values import Value

COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"
SILENCES = (0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 300.0)
"""Bounds in seconds. With a beat of 1 s, a takeover that keeps the beat is at most in "1.5"."""
REASONS = (
    *("signal", "core-dump", "exit-code", "watchdog", "oom-kill", "timeout", "protocol"),
    *("resources", "start-limit-hit", "stopped", "started", "masked", "boot", "guard", "again"),
    *("lease-expired", "released", "moved", "returned", "no-key", "new", "unknown"),
)
"""Those of core/takeover.py. A test compares the two."""
OTHER = "other"
"""Stands for a reason that is none of these: of a newer version, or made up by a sender."""


class Metric(Value):
    """name: as it is printed; of a histogram, without _bucket, _sum and _count."""

    name: str
    kind: str
    labels: tuple[str, ...]
    text: str


METRICS = (
    BUILD := Metric("sendrecv_build_info", GAUGE, ("version",), "The version of sendrecv; 1."),
    COLLECTED := Metric(
        "sendrecv_collected_timestamp_seconds",
        GAUGE,
        (),
        "When these metrics were read, in seconds since 1970.",
    ),
    COLLECTION := Metric(
        "sendrecv_collection_seconds", GAUGE, (), "How long it took to read what they are made of."
    ),
    SOURCE := Metric(
        "sendrecv_source_up",
        GAUGE,
        ("source",),
        "Whether this source could be read: systemd, receiver, journal. If not, what comes from it"
        " is missing.",
    ),
    PROBLEMS := Metric(
        "sendrecv_problems",
        GAUGE,
        ("code", "severity"),
        "How many problems of this kind there are, as sendrecv status --json has them; missing if"
        " there is none.",
    ),
    AVAILABLE := Metric(
        "sendrecv_directory_available_bytes",
        GAUGE,
        ("directory",),
        "Free space of the file system of this directory, for whoever is not root.",
    ),
    SIZE := Metric(
        "sendrecv_directory_size_bytes",
        GAUGE,
        ("directory",),
        "Size of the file system of this directory.",
    ),
    RECEIVER_START := Metric(
        "sendrecv_receiver_start_time_seconds",
        GAUGE,
        (),
        "When the receiver began, in seconds since 1970.",
    ),
    CONNECTIONS := Metric(
        "sendrecv_receiver_connections", GAUGE, (), "Senders that are connected to the receiver."
    ),
    RECEIVED := Metric(
        "sendrecv_receiver_counts_total",
        COUNTER,
        (),
        "Counts that the receiver has printed since it began.",
    ),
    REFUSALS := Metric(
        "sendrecv_receiver_refusals_total",
        COUNTER,
        ("reason",),
        "Claims that the receiver has refused since it began.",
    ),
    COMMITS := Metric(
        "sendrecv_receiver_commit_seconds",
        HISTOGRAM,
        (),
        "How long the transactions of the receiver's ledger took since it began.",
    ),
    STATE := Metric(
        "sendrecv_app_state",
        GAUGE,
        ("app", "state"),
        "1 for the state in which the App is, as sendrecv status has it; 0 for the others.",
    ),
    SHOULD_RUN := Metric(
        "sendrecv_app_should_run", GAUGE, ("app",), "Whether the App's target is active."
    ),
    AT_BOOT := Metric(
        "sendrecv_app_at_boot", GAUGE, ("app",), "Whether the App starts when the machine does."
    ),
    PAUSED := Metric(
        "sendrecv_app_paused", GAUGE, ("app",), "Whether takeovers of the App are paused."
    ),
    PAUSED_SINCE := Metric(
        "sendrecv_app_paused_timestamp_seconds",
        GAUGE,
        ("app",),
        "Since when takeovers of the App are paused, in seconds since 1970; missing if they are"
        " not.",
    ),
    WHO := Metric(
        "sendrecv_app_counting_info",
        GAUGE,
        ("app", "app_id", "half", "node", "host"),
        "Who counts; 1. The half is empty if it is not one of this machine; the host is empty if"
        " the App is not one of several hosts.",
    ),
    SINCE := Metric(
        "sendrecv_app_counting_start_time_seconds",
        GAUGE,
        ("app",),
        "Since when that one counts, in seconds since 1970.",
    ),
    COUNTS := Metric(
        "sendrecv_app_counts_total",
        COUNTER,
        ("app",),
        "Counts of the App that the receiver has printed, by its ledger.",
    ),
    EPOCH := Metric("sendrecv_app_epoch", GAUGE, ("app",), "The epoch of the process that counts."),
    BEAT := Metric(
        "sendrecv_app_beat_seconds",
        GAUGE,
        ("app",),
        "Time from one count to the next, lately.",
    ),
    LATE := Metric(
        "sendrecv_app_late_seconds",
        GAUGE,
        ("app",),
        "By how much the next count is overdue; 0 if it is not.",
    ),
    BACKLOG := Metric(
        "sendrecv_app_backlog",
        GAUGE,
        ("app",),
        "Counts that the receiver is not known to have. 1 is nearly always on its way.",
    ),
    CONNECTED := Metric(
        "sendrecv_app_connected",
        GAUGE,
        ("app",),
        "Whether its sender is connected to the receiver.",
    ),
    HALF := Metric(
        "sendrecv_half_active", GAUGE, ("app", "half"), "Whether the unit of this half is active."
    ),
    MASKED := Metric(
        "sendrecv_half_masked", GAUGE, ("app", "half"), "Whether the unit of this half is masked."
    ),
    TAKEOVERS := Metric(
        "sendrecv_takeovers_total",
        COUNTER,
        ("app", "reason"),
        "Takeovers, by the reason that sendrecv history --json has as code.",
    ),
    STARTS := Metric(
        "sendrecv_starts_total",
        COUNTER,
        ("app", "reason"),
        "Starts of a half that counted before too, by reason; and the first one of an App.",
    ),
    LAST := Metric(
        "sendrecv_last_takeover_timestamp_seconds",
        GAUGE,
        ("app",),
        "When the last takeover was, in seconds since 1970; missing if it was long ago.",
    ),
    SILENCE := Metric(
        "sendrecv_takeover_silence_seconds",
        HISTOGRAM,
        ("app",),
        "Time without a count at takeovers: from the last count before to the first one after.",
    ),
)
"""In the order in which they are printed."""
