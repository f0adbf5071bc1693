"""One self-contained page, Markdown, CSV and JSON of what `edge.check` and `edge.bench` measured. Start at `collect`."""
