"""From files to scores and a report, in stages that a killed run does not repeat."""
