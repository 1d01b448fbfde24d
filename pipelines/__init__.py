"""The DAG: its definition, its compiled form, and running it locally from that very form."""
