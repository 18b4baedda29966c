"""One test's measuring: opens the server and its probes, runs loads, asks the checks."""
