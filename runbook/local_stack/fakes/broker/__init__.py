"""Kafka's part: librdkafka's mock cluster as a process of its own."""
