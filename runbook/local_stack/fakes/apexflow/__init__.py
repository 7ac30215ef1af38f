"""ApexFlow's part: leads and jobs, and the events that tell of them."""
