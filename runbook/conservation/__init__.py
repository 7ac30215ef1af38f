"""What goes in must come out: the sums at each boundary of the flow, shared by traffic, verify and troubleshoot."""
