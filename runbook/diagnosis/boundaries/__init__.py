"""The boundaries of the flow, read passively: nothing is created, and nobody's group is joined.

Prometheus is the only memory of where the sink was: its samples hold counters and positions of each scrape. The end is
the sink's own page, which is an equality of its own. What Prometheus does not remember is not checked.
"""

from runbook.diagnosis.boundaries.counted_events import kafka_sink
from runbook.diagnosis.boundaries.created_events import api_kafka
from runbook.diagnosis.boundaries.panel_points import prometheus_grafana
from runbook.diagnosis.boundaries.scraped_counts import sink_prometheus

__all__ = ("api_kafka", "kafka_sink", "prometheus_grafana", "sink_prometheus")
