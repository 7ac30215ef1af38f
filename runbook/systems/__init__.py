"""What is known of each system of the pipeline: one folder a system, with its settings and its client."""
