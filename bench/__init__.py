"""The performance harness: measures the gateway against the bare upstream and against peers, in one run on one machine."""
