"""The parts of the HTML report, one a file."""
